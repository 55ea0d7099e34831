"""Whatever a file holds: reading and joining is the identity, adding changes nothing else and reuses nothing."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cairn.errors import BadInput, CairnError, UsageError
from cairn.learnings.archive import ArchiveText, archive
from cairn.learnings.edit import FIELDS, NewEntry, add, next_number
from cairn.learnings.identity import KINDS, parse_id
from cairn.learnings.lint import lint
from cairn.learnings.merge import merge
from cairn.learnings.model import Entry
from cairn.learnings.parse import parse
from cairn.learnings.revise import Extension, Retraction, extend, renumber, retract
from cairn.learnings.splice import content, lines_of

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


def same(entry: Entry) -> tuple[str, tuple[str, ...]]:
    """An entry without regard to line endings."""
    return entry.id, tuple(lines_of(entry.text.rstrip()))


@given(FILES, st.data())
def test_revising_one_entry_leaves_all_others(text: str, data: st.DataObject) -> None:
    before = parse(text)
    if not before.entries:
        return
    at = data.draw(st.integers(0, len(before.entries) - 1))
    entry = before.entries[at]
    name, line = entry.ids[0].raw, entry.span.first
    because = Retraction("2026-05-06", data.draw(VALUES))
    changes = [
        lambda: retract(text, name, because, line),
        lambda: extend(text, Extension(name, "2026-05-06", "gdn", because.reason), line),
    ]
    for change in changes:
        try:
            after = change().after
        except CairnError:
            continue
        entries = parse(after).entries
        assert len(entries) == len(before.entries)
        assert [content(each) for i, each in enumerate(entries) if i != at] == [
            content(each) for i, each in enumerate(before.entries) if i != at
        ]
        assert content(entries[at])[1].startswith(content(entry)[1])
        assert _is_subsequence_of_lines(text, after)


@given(FILES, st.data())
def test_a_new_number_changes_nothing_but_ids(text: str, data: st.DataObject) -> None:
    before = parse(text)
    if not before.entries:
        return
    entry = before.entries[data.draw(st.integers(0, len(before.entries) - 1))]
    try:
        edit = renumber(text, entry.ids[0].raw, line=entry.span.first)
    except CairnError:
        return
    after = parse(edit.after)
    assert [each.title for each in after.entries] == [each.title for each in before.entries]
    assert len(after.markdown.lines) == len(before.markdown.lines)


@given(FILES, st.integers(10, 400))
def test_archiving_loses_nothing(text: str, max_bytes: int) -> None:
    try:
        edit = archive(text, ArchiveText("a.md", ""), max_bytes)
    except BadInput:
        return
    there = parse(edit.archived).entries
    assert len(there) <= len(edit.ids)  # one that stood there twice, word for word, is kept once
    found = {same(entry) for entry in (*parse(edit.after).entries, *there)}
    assert found == {same(entry) for entry in parse(text).entries}


@given(FILES, st.lists(new_entries(), max_size=2), st.lists(new_entries(), max_size=2))
def test_merging_keeps_the_new_entries_of_both_sides(
    text: str, ours: list[NewEntry], theirs: list[NewEntry]
) -> None:
    try:
        one, other = add(text, ours).after, add(text, theirs).after
    except (BadInput, UsageError):
        return
    merged = merge(text, one, other)
    if merged.conflicts:
        return
    entries = parse(merged.text).entries
    found = [set(same(entry)[1]) for entry in entries]  # the same lesson of both sides is joined line by line
    for entry in parse(one).entries:
        assert any(set(same(entry)[1]) <= lines for lines in found)
    titles = {(entry.kind, " ".join(entry.title.casefold().split())) for entry in entries}
    assert {(entry.kind, " ".join(entry.title.casefold().split())) for entry in parse(other).entries} <= titles


@given(FILES)
def test_merging_with_no_change_is_the_identity(text: str) -> None:
    assert merge(text, text, text).text == text
    extra = text + ("" if text.endswith(("\n", "\r")) or not text else "\n") + "### [F800] new\n- **Fix**: f\n"
    assert merge(text, extra, text).text == extra
