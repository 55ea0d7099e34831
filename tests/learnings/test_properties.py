"""Whatever a file holds: reading and joining is the identity, adding changes nothing else and reuses nothing."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cairn.errors import BadInput, UsageError
from cairn.learnings.edit import FIELDS, NewEntry, add, next_number
from cairn.learnings.identity import KINDS, parse_id
from cairn.learnings.lint import lint
from cairn.learnings.parse import parse

IDS = st.from_regex(r"(FP|SO|F|S)([1-9]|0[0-9]{2}|[1-9][0-9])(b|-gmm|b-gmm)?", fullmatch=True)
TITLES = st.text("ab [](){}#*`_~:/-—≠é\u2028", max_size=12)
HEADINGS = st.builds(
    lambda level, name, title, bracketed: (
        "#" * level + (f" [{name}] {title}" if bracketed else f" {name}: {title}")
    ),
    st.integers(2, 4),
    st.one_of(IDS, st.just("S001 / F004"), st.just("S-none-R1")),
    TITLES,
    st.booleans(),
)
LINES = st.one_of(
    HEADINGS,
    st.sampled_from(
        [
            "# Knowledge",
            "## Failure Patterns",
            "## Successful Optimizations",
            "## Other",
            "- **Symptom**: a",
            "- **Fix:** see FP3",
            "  continued",
            "    indented",
            "1. one",
            "```",
            "~~~~",
            "> quote",
            "---",
            "===",
            "<!-- a",
            "-->",
            "<div>",
            "",
            "",
        ]
    ),
    st.text(max_size=20).map(lambda text: re.sub(r"[\r\n]", "", text)),
)
FILES = st.builds(
    lambda bom, lines, last: bom + "".join(line + ending for line, ending in lines) + last,
    st.sampled_from(["", "\ufeff"]),
    st.lists(st.tuples(LINES, st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])), max_size=14),
    st.one_of(st.just(""), LINES),
)
VALUES = st.one_of(
    LINES, st.lists(LINES, min_size=1, max_size=4).map("\n".join), st.just("x\n### [F900] no\n```\n")
).filter(str.strip)


@st.composite
def new_entries(draw: st.DrawFn) -> NewEntry:
    kind = draw(st.sampled_from(KINDS))
    fields = tuple((label, draw(VALUES)) for label in FIELDS[kind])
    title = draw(TITLES.filter(str.strip))
    return NewEntry(kind, title, fields, "gdn", "2026-05-06")


@given(FILES)
def test_reading_and_joining_is_the_identity(text: str) -> None:
    document = parse(text)
    markdown = document.markdown
    assert "".join(markdown.lines) == text
    assert markdown.offsets[-1] == len(text.encode())
    data = text.encode()
    for entry in document.entries:
        assert data[entry.span.start_byte : entry.span.end_byte].decode().rstrip() == entry.text.rstrip()
        for field in entry.fields:
            assert entry.span.first < field.span.first <= field.span.last <= entry.span.last
    for finding in lint(document):
        assert 1 <= finding.line <= len(markdown.lines)


@given(FILES, st.lists(new_entries(), min_size=1, max_size=3))
def test_adding_reuses_no_number_and_changes_no_other_byte(text: str, entries: list[NewEntry]) -> None:
    try:
        edit = add(text, entries)
    except (BadInput, UsageError):
        return  # refused, and `add` has written nothing
    before, after = parse(text), parse(edit.after)
    assert len(after.entries) == len(before.entries) + len(entries)
    for name, entry in zip(edit.ids, entries, strict=True):
        wanted = parse_id(name)
        assert wanted is not None
        assert wanted.number is not None
        assert wanted.number >= next_number(before, entry.kind)
        assert not before.find(wanted)
        (found,) = after.find(wanted)
        assert found.kind == entry.kind
        assert found.section is not None
        assert found.section.kind == entry.kind
    assert _is_subsequence_of_lines(text, edit.after)


def _is_subsequence_of_lines(text: str, after: str) -> bool:
    """Every old line is still there, in order, byte for byte (a missing last newline may have been completed)."""
    assert after.startswith("\ufeff") == text.startswith("\ufeff")
    remaining = iter(parse(after.removeprefix("\ufeff")).markdown.lines)
    lines = parse(text.removeprefix("\ufeff")).markdown.lines
    return all(
        any(line == other or (line == lines[-1] and other.startswith(line)) for other in remaining)
        for line in lines
    )


@given(FILES)
def test_numbers_of_other_branches_are_not_reused(text: str) -> None:
    document = parse(text)
    elsewhere = parse_id("FP400-other")
    assert elsewhere is not None
    assert next_number(document, "failure", [elsewhere]) > 400
    assert next_number(document, "success", [elsewhere]) == next_number(document, "success")
