"""Change entries that are there: extend, supersede, retract, renumber.

Nothing is ever overwritten: an extension, a correction or a retraction is a further field at the end of the entry.
Only a new number changes text, in the heading and where other entries mention it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cairn.errors import Missing, UsageError
from cairn.learnings.edit import Edit, next_id
from cairn.learnings.evidence import (
    RELATED,
    RETRACTED,
    STATUS,
    SUPERSEDED,
    evidence_of,
    status_value,
)
from cairn.learnings.identity import EntryId, parse_id, rename_mentions
from cairn.learnings.model import Document, Entry
from cairn.learnings.parse import parse
from cairn.learnings.splice import append_to_entry, field_lines, replace_line

EXTENDED = "Extended"


@dataclass(frozen=True)
class Extension:
    """What is new about an entry. `context`: kernel, round, variants; `fields`: more labels and values."""

    id: str
    date: str
    context: str
    text: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Retraction:
    """Why an entry no longer holds. `untrusted`: hashes of receipts or results that nobody may cite any more."""

    date: str
    reason: str
    untrusted: tuple[str, ...] = ()


def find_one(document: Document, name: str, line: int | None = None) -> int:
    """The index of the one entry that carries an id; `line` chooses when a file uses the id twice.

    Raises:
        UsageError: no id, or several entries carry it.
        Missing: no entry carries it.
    """
    wanted = parse_id(name.strip("[] "))
    if wanted is None:
        raise UsageError(f"`{name}` is not an id", hint="ids look like F012 or S007")
    found = [at for at, entry in enumerate(document.entries) if wanted.key in {each.key for each in entry.ids}]
    if not found:
        raise Missing(f"there is no {name}", hint="`cairn learnings list` shows what there is")
    if line is not None:
        found = [at for at in found if document.entries[at].span.first <= line <= document.entries[at].span.last]
    if len(found) != 1:
        places = ", ".join(str(document.entries[at].span.first) for at in found) or "elsewhere"
        raise UsageError(f"{name} stands at lines {places}", hint="add --line N to choose one, or renumber it")
    return found[0]


def extend(text: str, extension: Extension, line: int | None = None) -> Edit:
    """Add an Extended field, and further fields, to the end of an entry.

    Raises:
        UsageError: the text says nothing, a label is none, or the entry is retired.
    """
    document = parse(text)
    at = find_one(document, extension.id, line)
    entry = document.entries[at]
    evidence = evidence_of(entry)
    if not evidence.active:
        hint = f"extend {evidence.by.raw} instead" if evidence.by else "add a new entry"
        raise UsageError(f"{entry.id} is {evidence.status}", hint=hint)
    if not extension.text.strip():
        raise UsageError("an extension needs a text", hint="say what is new, in which context")
    check_labels(extension.fields)
    head = ", ".join(filter(None, (extension.date, extension.context)))
    pairs = [(EXTENDED, f"{head}: {extension.text.strip()}"), *extension.fields]
    return Edit(text, append_to_entry(text, at, _lines(pairs)), (entry.id,))


def check_labels(fields: Sequence[tuple[str, str]]) -> None:
    """Refuse labels that would not be read back as labels.

    Raises:
        UsageError: naming the first one.
    """
    for label, value in fields:
        if not label.strip() or set(label) & set("*_:`\r\n") or not label[0].isalnum():
            raise UsageError(f"`{label}` cannot be a label")
        if not value.strip():
            raise UsageError(f"the field `{label}` is empty")


def supersede(text: str, old: str, new: str, because: Retraction, line: int | None = None) -> Edit:
    """Mark an entry as replaced by another one, and say so in both.

    Raises:
        UsageError: both are the same, or the old one is retired already.
    """
    document = parse(text)
    at, by = find_one(document, old, line), find_one(document, new)
    if at == by:
        raise UsageError(f"{old} cannot supersede itself")
    entry, successor = document.entries[at], document.entries[by]
    _refuse_retired(entry)
    value = status_value(
        SUPERSEDED, because.date, _reason(because), by=successor.ids[0].raw, bad=because.untrusted
    )
    after = append_to_entry(text, at, _lines([(STATUS, value)]))
    after = append_to_entry(after, by, _lines([(RELATED, f"supersedes [{entry.ids[0].raw}]")]))
    return Edit(text, after, (entry.id, successor.id))


def retract(text: str, name: str, because: Retraction, line: int | None = None) -> Edit:
    """Mark an entry as wrong; its text stays, for it must not be learned again.

    Raises:
        UsageError: it is retired already, or no reason is given.
    """
    document = parse(text)
    at = find_one(document, name, line)
    entry = document.entries[at]
    _refuse_retired(entry)
    value = status_value(RETRACTED, because.date, _reason(because), bad=because.untrusted)
    return Edit(text, append_to_entry(text, at, _lines([(STATUS, value)])), (entry.id,))


def renumber(
    text: str, name: str, elsewhere: Sequence[EntryId] = (), *, line: int | None = None, to: str | None = None
) -> Edit:
    """Give an entry a free number. Mentions follow when the old id was its own; its own text follows always.

    Raises:
        UsageError: `to` is no id, or is taken.
    """
    document = parse(text)
    at = find_one(document, name, line)
    entry = document.entries[at]
    old = next(each for each in entry.ids if each.key == _key(name))
    new = to or next_id(document, old.kind, elsewhere)
    wanted = parse_id(new)
    if wanted is None or wanted.kind != old.kind:
        raise UsageError(f"`{new}` is not an id of a {old.kind}")
    if document.find(wanted) or wanted.key in {each.key for each in elsewhere}:
        raise UsageError(f"{new} is taken", hint="leave the new id out to get the next free one")
    shared = len(document.find(old)) > 1
    places = [at] if shared else range(len(document.entries))
    after = rename_in_entries(document, places, old, new)
    heading = entry.span.first - 1
    lines = parse(after).markdown.lines[heading].rstrip("\r\n").replace(old.raw, new, 1)
    after = replace_line(parse(after), heading, lines)
    if [each.title for each in parse(after).entries] != [each.title for each in document.entries]:
        raise UsageError(f"the heading of {entry.id} would not be read with {new} in it", hint="use three digits")
    return Edit(text, after, (old.raw, new))


def rename_in_entries(document: Document, places: Sequence[int], old: EntryId, new: str) -> str:
    """Rename mentions in the bodies of some entries; headings, code and everything else stay."""
    lines = list(document.markdown.lines)
    code = document.code_lines
    for at in places:
        entry = document.entries[at]
        for line in range(entry.span.first, entry.span.last):
            if line not in code:
                lines[line] = rename_mentions(lines[line], old, new)
    return "".join(lines)


def _key(name: str) -> tuple[str, int | None, str]:
    found = parse_id(name.strip("[] "))
    assert found is not None
    return found.key


def _refuse_retired(entry: Entry) -> None:
    evidence = evidence_of(entry)
    if not evidence.active:
        raise UsageError(f"{entry.id} is {evidence.status} already")


def _reason(because: Retraction) -> str:
    if not because.reason.strip():
        raise UsageError("a reason is needed", hint="add --reason 'what was found out'")
    return because.reason


def _lines(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [line for label, value in pairs for line in field_lines(label, value)]
