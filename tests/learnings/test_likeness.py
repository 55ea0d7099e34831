"""Signatures, candidates, search, the archive: what is alike is found, and what leaves the file is not lost."""

from pathlib import Path

import pytest

from cairn.errors import BadInput
from cairn.learnings.archive import ArchiveText, archive
from cairn.learnings.edit import Edit, next_id
from cairn.learnings.lint import lint
from cairn.learnings.parse import parse
from cairn.learnings.search import Query, index_line, search, within
from cairn.learnings.signature import decisive_line, signature
from cairn.learnings.similar import Draft, pairs, similar
from cairn.learnings.store import archive_path, archived_ids, change_file, read_archive

TRACE = """\
Correctness error: Traceback (most recent call last):
  File "/home/somebody/run/evaluate.py", line {line}, in stage
jaxlib.errors.JaxRuntimeError: INTERNAL: Mosaic failed: lhs vector<{size}x256xbf16> at 0x{at} is bad
"""
TEXT = """\
## Failure Patterns

### [F001] Mixed types in one matmul
- **Symptom**: `INTERNAL: Mosaic failed: lhs vector<64x256xbf16> at 0x7f is bad`
- **Root cause**: the unit takes one type
- **Fix**: cast both
- **Scope**: kernel gla; chip tpu-v6e
- **First seen**: 2026-01-02, gla optimization

### [F002] Blocks narrower than 128 lanes are refused
- **Symptom**: the last dimension must be divisible by 128
- **Confidence**: reproduced
- **First seen**: 2026-01-03, gdn optimization

### [F003] Old belief about lanes
- **Symptom**: s
- **Status**: superseded by [F002], 2026-02-02: measured
- **First seen**: 2026-01-01, gdn optimization

## Successful Optimizations

### [S001] State kept in scratch memory
- **Optimization**: keep the state in VMEM scratch across the chunks of a sequence, unlike F003
- **First seen**: 2026-01-04, gdn optimization
"""
ENTRIES = parse(TEXT).entries


def test_the_same_fault_has_the_same_signature() -> None:
    one, other = (TRACE.format(line=3, size=64, at="7f0a"), TRACE.format(line=270, size=128, at="11"))
    assert signature(one) == signature(other)
    assert signature(one) == "jaxruntimeerror: internal: mosaic failed: lhs shape at address is bad"
    assert signature("") == ""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("x\nF0101 Check failed: a == b (1 vs. 2)\nValueError: later\n", "F0101 Check failed: a == b (1 vs. 2)"),
        ("KeyError: 'a'\n\nduring\n\nValueError: b\n  note", "ValueError: b"),
        ("Subprocess timeout after 600s", "Subprocess timeout after 600s"),
        ("\x1b[31mjust words\x1b[0m\n\n", "just words"),
    ],
)
def test_the_decisive_line(error: str, line: str) -> None:
    assert decisive_line(error) == line


def test_candidates_by_error_title_and_symptom() -> None:
    (found, *_) = similar(Draft(error=TRACE.format(line=1, size=32, at="9")), ENTRIES)
    assert (found.entry.id, dict(found.parts)) == ("F001", {"error": found.score})
    (found, *_) = similar(Draft(title="Blocks of fewer than 128 lanes get refused", kind="failure"), ENTRIES)
    assert found.entry.id == "F002"
    assert "lanes" in found.shared
    assert similar(Draft(title="Something quite different"), ENTRIES) == []
    assert similar(Draft(title="State kept in scratch memory", kind="failure"), ENTRIES) == []


def test_pairs_within_one_file() -> None:
    copy = TEXT + "\n### [S002] State is kept in scratch memory\n- **Optimization**: state in VMEM scratch\n"
    ((entry, candidate),) = pairs(parse(copy).entries, least=70)
    assert (entry.id, candidate.entry.id) == ("S001", "S002")


def ids(query: Query) -> list[str]:
    return [hit.entry.id for hit in search(query, ENTRIES)]


def test_search_ranks_by_kernel_chip_error_and_idea() -> None:
    assert ids(Query()) == ["F002", "F001", "S001"]
    assert ids(Query(text="LANES")) == ["F002"]
    assert ids(Query(text="lanes", all_states=True)) == ["F002", "F003"]
    assert ids(Query(kernel="gdn")) == ["F002", "S001"]
    assert ids(Query(kernel="gla", chips=("tpu-v6e",))) == ["F001"]
    assert ids(Query(kernel="gdn", error=TRACE.format(line=1, size=8, at="1")))[0] == "F001"
    assert ids(Query(idea="state in scratch memory", kind="success")) == ["S001"]
    (hit,) = search(Query(kernel="gla"), ENTRIES)
    assert hit.why == ("kernel gla",)


def test_the_index_and_the_budget() -> None:
    hits = search(Query(all_states=True), ENTRIES)
    lines = {index_line(hit.entry, hit.evidence) for hit in hits}
    assert "[F001] Mixed types in one matmul (gla, tpu-v6e)" in lines
    assert "[F003] Old belief about lanes (gdn, superseded by F002)" in lines
    full, rest = within(hits, len(hits[0].entry.text.encode()))
    assert (len(full), len(rest)) == (1, 3)


def test_retired_entries_leave_a_line_and_stay_known() -> None:
    edit = archive(TEXT, ArchiveText("AGENT.archive.md", ""))
    assert edit.ids == ("F003",)
    link = "- [F003](AGENT.archive.md): Old belief about lanes (superseded by F002)\n"
    assert edit.after.endswith(f"\n\n## Archived learnings\n\n{link}")
    assert ENTRIES[2].text.rstrip() in edit.archived
    assert [finding.code for finding in lint(parse(edit.after))] == []
    assert archive(edit.after, ArchiveText("AGENT.archive.md", edit.archived)).after == edit.after


def test_a_large_file_shrinks_to_its_limit_without_losing_anything() -> None:
    many = TEXT + "".join(
        f"\n### [S{number:03d}] Number {number}\n- **Optimization**: {'x' * 300}\n- **First seen**: x\n"
        for number in range(2, 80)
    )
    edit = archive(many, ArchiveText("a.md", ""), 12_000)
    assert len(edit.after.encode()) <= 12_000
    here, there = parse(edit.after).entries, parse(edit.archived).entries
    assert "F002" in {entry.id for entry in here}, "what is reproduced goes last"
    key = [(entry.id, entry.text.rstrip()) for entry in parse(many).entries]
    assert sorted((entry.id, entry.text.rstrip()) for entry in (*here, *there)) == sorted(key)
    again = archive(edit.after, ArchiveText("a.md", edit.archived), 12_000)
    assert again.ids == ()


def test_an_archive_that_would_swallow_an_entry_is_left_alone() -> None:
    with pytest.raises(BadInput, match="read back"):
        archive(TEXT, ArchiveText("a.md", "### [F009] a\n\n```\nopen\n"), 10)


def test_lint_sees_numbers_that_the_archive_has() -> None:
    old = parse("### [F001] Mixed types in one matmul\n\n### [F002] Something else\n")
    found = [(each.code, each.ids) for each in lint(parse(TEXT), old) if each.code != "bad-status"]
    assert found == [("duplicate-id", ("F001", "F001")), ("reused-number", ("F002", "F002"))]


def test_archived_numbers_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "AGENT.md"
    path.write_text(TEXT)

    def move(text: str) -> Edit:
        return archive(text, ArchiveText(archive_path(path).name, read_archive(path).markdown.text), 10)

    change_file(path, move)
    assert parse(path.read_text()).entries == ()
    assert sorted(name.raw for name in archived_ids(path)) == ["F001", "F002", "F003", "S001"]
    assert next_id(parse(path.read_text()), "failure", archived_ids(path)) == "F004"
