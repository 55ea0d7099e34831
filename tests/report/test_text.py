"""Text of strangers, JSON in a page, colours of diffs, and what is left out when a page grows too large."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.cli.report_find import source_in
from cairn.cli.report_rows import climb_run
from cairn.report.embed import fitted, script_json, spans_by_attempt
from cairn.report.highlight import diff_spans
from cairn.report.inert import LINE_CHARS, inert, inert_row, one_line
from cairn.report.rows import SCHEMA, Report, Run
from cairn.report.words import duration, microseconds, money, times
from report.climbs import DIFF, large, small


def report_of(folder: Path) -> Report:
    source = source_in(folder)
    assert source is not None
    return Report(SCHEMA, "run", "0.0.0", "2026-11-21T00:00:00+00:00", [climb_run(source)])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("if \u202ereversed\u202c:", "if ⟨U+202E⟩reversed⟨U+202C⟩:"),
        ("nul \x00 bell \x07", "nul ⟨U+0000⟩ bell ⟨U+0007⟩"),
        ("a\u200bb\ufeff", "a⟨U+200B⟩b⟨U+FEFF⟩"),
        ("half \ud800", "half \ufffd"),
        ("dos\r\nmac\rend", "dos\nmac\nend"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("naïve ≤ 😀 中文 שלום", "naïve ≤ 😀 中文 שלום"),
    ],
)
def test_what_is_invisible_is_shown(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_long_lines_and_texts_are_cut_and_say_so() -> None:
    line = inert("x" * 10_000_000)
    assert len(line) < LINE_CHARS + 100
    assert "more characters" in line
    assert one_line("a\nb  c " * 100, 20) == "a b c a b c a b c a…"


@given(st.text())
def test_inert_text_is_stable_and_encodable(text: str) -> None:
    once = inert(text)
    assert inert(once) == once
    once.encode("utf-8")


@given(st.text())
def test_embedded_json_cannot_leave_its_element(text: str) -> None:
    run = inert_row(Run(name=text, attempts=[]))
    embedded = script_json(run)
    assert not set("<>&\u2028\u2029") & set(embedded)
    assert json.loads(embedded)["name"] == run.name


def test_colours_cover_each_line_of_code_exactly() -> None:
    spans = diff_spans(DIFF).split("\n")
    lines = DIFF.split("\n")
    assert len(spans) == len(lines)
    for line, codes in zip(lines, spans, strict=True):
        if codes:
            assert sum(int(code[1:]) for code in codes.split()) == len(line) - 1, line
    assert spans[5].startswith("s"), "the hunk begins inside a docstring"
    assert any(code.startswith("c") for code in spans[8].split()), "the comment"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
def test_colours_of_any_text(text: str) -> None:
    diff = f"@@ -1 +1 @@\n+{text}"
    for line, codes in zip(diff.split("\n"), diff_spans(diff).split("\n"), strict=True):
        assert sum(int(code[1:]) for code in codes.split()) <= len(line)


def test_a_large_report_is_shortened_but_keeps_its_numbers(tmp_path: Path) -> None:
    report = report_of(large(tmp_path / "big", attempts=40).folder)
    whole = len(msgspec.json.encode(report))
    small_one = fitted(report, budget=whole // 2)
    assert len(msgspec.json.encode(small_one)) <= whole // 2
    for before, after in zip(report.runs[0].attempts, small_one.runs[0].attempts, strict=True):
        assert (before.us, before.ratio, before.hypothesis) == (after.us, after.ratio, after.hypothesis)
        assert len(before.diff) == len(after.diff) + after.diff_left_out
        said, left = (sum(len(each.text) for each in row.transcript) for row in (before, after))
        assert said == left + after.transcript_left_out
    cut = [each for each in small_one.runs[0].attempts if each.diff_left_out]
    assert cut
    assert all(each.decision != "kept" for each in cut), "the kept ones are cut last"


def test_a_small_report_is_whole(tmp_path: Path) -> None:
    report = report_of(small(tmp_path / "night").folder)
    assert fitted(report) == report
    assert set(spans_by_attempt(report.runs)) == {f"0/a000{number}" for number in range(1, 7)}


def test_numbers_are_written_one_way() -> None:
    assert [microseconds(each) for each in (None, 1.234, 12.34, 1234.5)] == ["–", "1.23", "12.3", "1,234"]
    assert [times(each) for each in (8.344, 1234.5)] == ["8.34×", "1,234×"]
    assert [duration(each) for each in (1.25, 59, 61, 3725)] == ["1.2 s", "59 s", "1 min 1 s", "1 h 2 min"]
    assert [money(each) for each in (0.0, 0.0012, 12.5)] == ["$0.00", "$0.0012", "$12.50"]
