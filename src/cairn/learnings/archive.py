"""Keep AGENT.md small without losing anything: retired entries move to a file beside it and leave a line behind.

The line names the entry and links to it, so that references lead somewhere and the number stays taken. When
the retired ones are not enough, active entries follow, those with the weakest evidence and the oldest first;
search reads both files.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cairn.errors import BadInput
from cairn.learnings.edit import Edit
from cairn.learnings.evidence import CONFIDENCES, Evidence, evidence_of
from cairn.learnings.identity import EntryId, parse_id
from cairn.learnings.model import Document, Entry
from cairn.learnings.parse import parse
from cairn.learnings.splice import content, insert, insert_apart, lines_of, without_entries

DEFAULT_MAX_BYTES = 32 * 1024
TITLE = "Archived learnings"
_LINK = re.compile(r"- \[([^\[\]]+)\]\([^()\s]*\)")
_MARGIN = 0.9  # leave room for the next round, so that not every round moves something


@dataclass(frozen=True)
class ArchiveText:
    """The archive as it is: its file name (for the links) and its text."""

    name: str
    text: str


def linked_ids(document: Document) -> Iterator[EntryId]:
    """Ids of the entries that left a line behind."""
    for section in document.sections:
        if section.title.casefold() == TITLE.casefold():
            for line in document.markdown.lines[section.span.first : section.span.last]:
                match = _LINK.match(line)
                for piece in match[1].split("/") if match else ():
                    if found := parse_id(piece):
                        yield found


def archive(text: str, old: ArchiveText, max_bytes: int = DEFAULT_MAX_BYTES) -> Edit:
    """Move retired entries, and active ones while the text is larger than `max_bytes`, to the archive.

    Raises:
        BadInput: an open fence or comment would swallow what is moved.
    """
    document = parse(text)
    chosen = _chosen(document, max_bytes)
    if not chosen:
        return Edit(text, text, ())
    moved = [document.entries[at] for at in chosen]
    after = _with_lines(without_entries(document, chosen), moved, old.name)
    edit = Edit(text, after, tuple(entry.id for entry in moved), archived=_archived(old, moved))
    _verify(document, edit, old)
    return edit


def _chosen(document: Document, max_bytes: int) -> list[int]:
    """Indices of the entries to move, in the order of the file."""
    rows = [(at, entry, evidence_of(entry)) for at, entry in enumerate(document.entries)]
    chosen = [at for at, _, evidence in rows if not evidence.active]
    size = document.markdown.offsets[-1] - sum(_gain(rows[at][1]) for at in chosen)
    if size > max_bytes:
        for at, entry, _ in sorted(rows, key=lambda row: (_strength(row[2]), row[1].date or "", row[0])):
            # an entry that is hardly longer than the line it leaves behind would only move the text about
            if size > max_bytes * _MARGIN and at not in chosen and 2 * _gain(entry) > len(entry.text.encode()):
                chosen.append(at)
                size -= _gain(entry)
    return sorted(chosen)


def _gain(entry: Entry) -> int:
    """How many bytes the file loses when an entry is moved; the link's own name counts as 20."""
    return len(entry.text.encode()) - len(_line(entry, evidence_of(entry), "").encode()) - 20


def _strength(evidence: Evidence) -> int:
    return CONFIDENCES.index(evidence.confidence) + 1 if evidence.confidence else 0


def _with_lines(text: str, moved: Sequence[Entry], name: str) -> str:
    """Leave a line for each entry, in a section of its own at the end of the file."""
    document = parse(text)
    lines = [_line(entry, evidence_of(entry), name) for entry in moved]
    section = next((each for each in document.sections if each.title.casefold() == TITLE.casefold()), None)
    if section is None:
        return insert_apart(document, len(document.markdown.lines), [f"## {TITLE}", "", *lines])
    last = document.markdown.lines[section.span.last - 1]
    return insert(document, section.span.last, lines if last.startswith("- ") else ["", *lines])


def _line(entry: Entry, evidence: Evidence, name: str) -> str:
    state = f"{evidence.status} by {evidence.by.raw}" if evidence.by else evidence.status
    return f"- [{entry.id}]({name}): {entry.title} ({state})"


def _archived(old: ArchiveText, moved: list[Entry]) -> str:
    """The archive with further entries at its end; one that is there word for word is not written twice."""
    text = old.text
    if not text.strip("\ufeff \t\r\n"):
        text = f"# {TITLE}\n\nEntries that left AGENT.md; their numbers stay taken.\n"
    document = parse(text)
    known = {content(entry) for entry in document.entries}
    lines: list[str] = []
    for entry in moved:
        if content(entry) not in known:
            lines += ["", *lines_of(entry.text.rstrip())]
    return insert_apart(document, len(document.markdown.lines), lines[1:]) if lines else text


def _verify(before: Document, edit: Edit, old: ArchiveText) -> None:
    """Every entry must be read back from one of the two files."""
    kept = Counter(_plain(entry) for entry in parse(edit.after).entries)
    kept.update(_plain(entry) for entry in parse(edit.archived).entries)
    wanted = Counter(_plain(entry) for entry in (*before.entries, *parse(old.text).entries))
    if any(kept[each] < 1 for each in wanted):
        fence = before.markdown.open_fence
        raise BadInput(
            "an entry would not be read back from the archive",
            line=None if fence is None else fence + 1,
            hint="close the code fence or HTML comment that is left open",
        )


def _plain(entry: Entry) -> tuple[str, tuple[str, ...]]:
    return entry.id, tuple(lines_of(entry.text.rstrip()))
