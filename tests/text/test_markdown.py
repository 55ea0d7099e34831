"""Markdown with places: the text comes back whole, and what is a heading is decided by the parser."""

import pytest

from cairn.text.diff import unified
from cairn.text.markdown import read_markdown


@pytest.mark.parametrize(
    "text", ["", "\ufeff", "a", "a\r\nb\rc\n\n", "\ufeff# t\r\n", "x\u2028y\x0bz\n", "\r\r\n\n\r"]
)
def test_lines_join_to_the_text(text: str) -> None:
    markdown = read_markdown(text)
    assert "".join(markdown.lines) == text
    assert markdown.offsets[-1] == len(text.encode())


def test_only_line_feeds_and_returns_end_a_line() -> None:
    assert read_markdown("a\u2028b\x0cc\r\nd\re\n").lines == ("a\u2028b\x0cc\r\n", "d\r", "e\n")


def test_headings_have_line_level_and_raw_text() -> None:
    markdown = read_markdown("\ufeff# A `b`\r\n\r\nC\n---\n\n```\n# no\n```\n> # no\n- # no\n")
    assert [(each.line, each.level, each.text, each.underlined) for each in markdown.headings] == [
        (0, 1, "A `b`", False),
        (2, 2, "C", True),
    ]


def test_blocks_are_items_paragraphs_and_fences() -> None:
    markdown = read_markdown("p\n\n- a\n  - nested\n- b\n\n```\nx\n```\n<!--\nc\n-->\n")
    assert [(each.kind, each.line) for each in markdown.blocks] == [
        ("paragraph", 0),
        ("item", 2),
        ("item", 4),
        ("fence", 6),
        ("html", 9),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n```\nb\n", 1),
        ("a\n```\nb\n```\n", None),
        ("~~~\n```\n", 0),
        ("````\n```\n", 0),
        ("```\n", 0),
        ("```py\n```", None),
        ("- ```\n\nb\n", None),
        ("", None),
    ],
)
def test_open_fence(text: str, line: int | None) -> None:
    assert read_markdown(text).open_fence == line


@pytest.mark.parametrize(
    ("text", "newline"), [("", "\n"), ("a\r\nb\r\nc\n", "\r\n"), ("a\nb\r\n", "\n"), ("a\r", "\r")]
)
def test_newline_is_what_most_lines_have(text: str, newline: str) -> None:
    assert read_markdown(text).newline == newline


def test_a_difference_marks_a_missing_last_newline() -> None:
    assert unified("a\nb", "a\nb\nc\n", "X.md").splitlines()[2:] == [
        "@@ -1,2 +1,3 @@",
        " a",
        "-b",
        "\\ No newline at end of file",
        "+b",
        "+c",
    ]
    assert unified("a", "a", "X.md") == ""
    assert unified("", "a\n", "X.md", exists=False).startswith("--- /dev/null\n+++ b/X.md\n")
