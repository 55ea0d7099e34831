"""Merge two branches of AGENT.md entry by entry: nothing that either of them learned gets lost.

A line merge puts two different F012 side by side, or calls it a conflict. Here an entry is one item: new ones of both
sides survive, one of two that took the same number gets the next free one, and what its branch wrote about it
follows. Additions to the same entry are joined. Conflict markers are left only where both sides rewrote the same
lines.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cairn.learnings.edit import next_id
from cairn.learnings.finding import Key
from cairn.learnings.identity import EntryId, parse_id, rename_mentions
from cairn.learnings.model import Document
from cairn.learnings.parse import parse
from cairn.learnings.splice import lines_of
from cairn.text.merge import Region, regions

_MARKS = ("<<<<<<< ours", "=======", ">>>>>>> theirs")


@dataclass(frozen=True)
class Merge:
    """The merged text, the ids of the other side that were changed, and the entries left with a conflict."""

    text: str
    renumbered: tuple[tuple[str, str], ...]
    conflicts: tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    """A line outside the entries, or a whole entry; two items are the same when their keys are."""

    key: tuple[object, ...]
    text: str = field(compare=False)
    id: str | None = field(compare=False, default=None)


def merge(base: str, ours: str, theirs: str, elsewhere: Sequence[EntryId] = ()) -> Merge:
    """Merge three texts of one file; what `ours` left alone stays byte for byte as it is there."""
    documents = [parse(text) for text in (base, ours, theirs)]
    theirs, renumbered = _renumber(documents, elsewhere)
    newline = documents[1 if ours else 2].markdown.newline
    sides = [_items(parse(text)) for text in (base, ours, theirs)]
    by_key = [{item.key: item.text for item in side} for side in sides]
    contents = _Contents(by_key[0], by_key[1], by_key[2], newline)
    texts: list[str] = []
    for region in regions(*sides):
        for item in _placed(region, contents):
            if texts and not texts[-1].endswith(("\n", "\r")):
                texts[-1] += newline
            texts += contents.once(item)
    mark = "\ufeff" if (ours or theirs).startswith("\ufeff") else ""
    return Merge(mark + "".join(texts), tuple(renumbered), tuple(contents.conflicts))


def _placed(region: Region[_Item], contents: "_Contents") -> list[_Item]:
    """Which items stand in a region: what either side added, without what either side took away."""
    if region.merged is not None:
        kept = list(region.merged)
        lost = [item for item in region.base if item not in kept]
    else:
        gone = [item for item in region.base if item not in region.theirs or item not in region.ours]
        blank = ("line", "")
        kept = [item for item in region.ours if item not in gone or item.key == blank]
        lost = [item for item in gone if item.key != blank]
        new = [item for item in region.theirs if item not in (*region.base, *region.ours) or item.key == blank]
        if kept and new and kept[-1].id and new[0].id:
            kept.append(_Item(blank, contents.newline))
        kept += new
    saved = [item for item in lost if contents.changed_by_one(item)]
    return kept + [each for item in saved for each in (item, _Item(("line", ""), contents.newline))]


def _renumber(documents: Sequence[Document], elsewhere: Sequence[EntryId]) -> tuple[str, list[tuple[str, str]]]:
    """Their text with new numbers for new entries whose number ours took for something else."""
    base, ours, theirs = documents
    known = {name.key for entry in base.entries for name in entry.ids}
    taken = {name.key: entry for entry in ours.entries for name in entry.ids if name.key not in known}
    used = [*elsewhere, *(name for each in documents for entry in each.entries for name in entry.ids)]
    text, done = theirs.markdown.text, list[tuple[str, str]]()
    renamed: dict[Key, str] = {}
    for entry in theirs.entries:
        for name in entry.ids:
            rival = taken.get(name.key)
            clash = rival and name.key not in known and _plain(rival.title) != _plain(entry.title)
            if clash and name.key not in renamed:
                new = next_id(ours, name.kind, used)
                used += [found for found in [parse_id(new)] if found]
                renamed[name.key] = new
                done.append((name.raw, new))
    if renamed:
        text = _rename_new(base, theirs, renamed)
    return text, done


def _rename_new(base: Document, theirs: Document, renamed: dict[Key, str]) -> str:
    """Rename headings, and mentions in every line that the base does not have."""
    old_lines = {line.rstrip("\r\n") for line in base.markdown.lines}
    lines = list(theirs.markdown.lines)
    by_heading = {entry.span.first - 1: entry for entry in theirs.entries}
    for at, line in enumerate(lines):
        if line.rstrip("\r\n") in old_lines or at in theirs.code_lines:
            continue
        entry = by_heading.get(at)
        for name in entry.ids if entry else ():
            if name.key in renamed:
                line = line.replace(name.raw, renamed[name.key], 1)
        if entry is None:
            for key, new in renamed.items():
                line = rename_mentions(line, EntryId("", key[0], key[1], key[2]), new)
        lines[at] = line
    return "".join(lines)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _items(document: Document) -> list[_Item]:
    """The file as lines and entries; the second entry of the same id gets a key of its own."""
    lines = [line.removeprefix("" if at else "\ufeff") for at, line in enumerate(document.markdown.lines)]
    items: list[_Item] = []
    seen: Counter[tuple[str, ...]] = Counter()
    at = 0
    for entry in document.entries:
        items += [_line(line) for line in lines[at : entry.span.first - 1]]
        name = tuple(sorted(map(repr, (name.key for name in entry.ids))))
        seen[name] += 1
        text = "".join(lines[entry.span.first - 1 : entry.span.last])
        items.append(_Item(("entry", name, seen[name]), text, entry.id))
        at = entry.span.last
    return items + [_line(line) for line in lines[at:]]


def _line(text: str) -> _Item:
    return _Item(("line", text.rstrip("\r\n")), text)


@dataclass
class _Contents:
    """What each side wrote under each key, and which of it has been put into the merged file."""

    base: Mapping[tuple[object, ...], str]
    ours: Mapping[tuple[object, ...], str]
    theirs: Mapping[tuple[object, ...], str]
    newline: str
    conflicts: list[str] = field(default_factory=list)
    done: set[tuple[object, ...]] = field(default_factory=set)

    def changed_by_one(self, item: _Item) -> bool:
        """Whether an entry that one side took out was changed by the other; then it stays."""
        if item.id is None or (item.key in self.ours) == (item.key in self.theirs):
            return False
        kept = self.ours.get(item.key, self.theirs.get(item.key, ""))
        return lines_of(kept) != lines_of(self.base.get(item.key, ""))

    def once(self, item: _Item) -> list[str]:
        """The merged text of an item; nothing for an entry that stands elsewhere already."""
        if item.id is None:
            return [item.text]
        if item.key in self.done:
            return []
        self.done.add(item.key)
        ours, theirs = self.ours.get(item.key), self.theirs.get(item.key)
        if ours is None or theirs is None:
            return [ours or theirs or item.text]
        return [self._joined(item, self.base.get(item.key), ours, theirs)]

    def _joined(self, item: _Item, base: str | None, ours: str, theirs: str) -> str:
        old, mine, other = (None if text is None else lines_of(text) for text in (base, ours, theirs))
        assert mine is not None
        assert other is not None
        if mine == other or other == old:
            return ours
        if mine == old:
            return theirs
        if old is None:  # the same lesson came in on both sides: what they agree on is the base
            other = [mine[0], *other[1:]]
            old = [line for line in mine if line in other]
        lines: list[str] = []
        for region in regions(old, mine, other):
            joined = region.merged if region.merged is not None else region.union
            if joined is None:
                self.conflicts.append(item.id or "")
                joined = (_MARKS[0], *region.ours, _MARKS[1], *region.theirs, _MARKS[2])
            lines += joined
        return self.newline.join(lines)
