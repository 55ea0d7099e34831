"""Put one entry into an experiment log, in the grammar and direction that its own entries have.

Nothing that stands in the log is moved or changed, byte for byte. A hidden mark with the entry's hash makes a second
try change nothing.
"""

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cairn.retro.log import LogEntry, read_log

HEADING, PIPES, BULLETS = "heading", "pipes", "bullets"
_NEW_ENTRIES = re.compile(r"<!--\s*new entries go (above|below) this line\s*-->", re.I)
_PARTS = ("What we tried", "Key findings", "What failed", "Open questions")


@dataclass(frozen=True)
class Draft:
    """An entry before it has a form: `parts` are (heading, bullets) of the summary."""

    date: str
    subject: str
    description: str
    parts: Sequence[tuple[str, Sequence[str]]]
    kind: str = "Retrospective"

    @property
    def mark(self) -> str:
        """What makes this entry the same one again."""
        text = "\n".join([self.kind, self.subject, *(line for _, lines in self.parts for line in lines)])
        return f"<!-- cairn:retro {hashlib.sha256(text.encode()).hexdigest()[:12]} -->"


def insert_entry(text: str, draft: Draft) -> str:
    """The log with the entry; the same log when the entry is in it already."""
    if draft.mark in text:
        return text
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    if not text.strip():
        text = f"# Experiment Log{newline}"
    entries = read_log(text)
    block = _render(text, entries, draft)
    at = _place(text, entries)
    lines = text.splitlines(keepends=True)
    before, after = "".join(lines[:at]), "".join(lines[at:])
    block = block.replace("\n", newline)
    if before and not before.endswith(("\n", "\r")):
        before += newline
    gap = "" if not before or before.endswith((newline * 2,)) else newline
    tail = newline if after and not after.startswith(("\n", "\r\n")) else ""
    return f"{before}{gap}{block}{tail}{after}"


def grammar_of(text: str, entries: Sequence[LogEntry]) -> str:
    """The form of the entry that a new one will stand beside."""
    if not entries:
        return HEADING
    entry = entries[0] if _newest_first(text, entries) else entries[-1]
    first = entry.text.split("\n", 1)[0]
    if not first.startswith("#"):
        return BULLETS
    return PIPES if "|" in first else HEADING


def _newest_first(text: str, entries: Sequence[LogEntry]) -> bool:
    """Which way a log grows: by its dates, and where they do not tell by the place of its mark."""
    falls = sum(one.date > other.date for one, other in itertools.pairwise(entries))
    rises = sum(one.date < other.date for one, other in itertools.pairwise(entries))
    if falls != rises:
        return falls > rises
    mark = _mark_line(text)
    return mark is not None and bool(entries) and mark < entries[0].first_line


def _mark_line(text: str) -> int | None:
    match = _NEW_ENTRIES.search(text)
    return (
        None
        if match is None
        else len(text[: match.start()].splitlines()) + (0 if text[: match.start()][-1:] not in ("\n", "") else 1)
    )


def _place(text: str, entries: Sequence[LogEntry]) -> int:
    """How many lines stand before the new entry."""
    mark, total = _mark_line(text), len(text.splitlines())
    if not entries:
        if mark is None:
            return total
        return mark if (match := _NEW_ENTRIES.search(text)) and match[1].casefold() == "below" else mark - 1
    if _newest_first(text, entries):
        first = entries[0].first_line - 1
        return first - _group_lines(text, first)
    last = entries[-1].last_line
    lines = text.splitlines()
    if mark is not None and mark > last:
        return mark - 1
    while last < total and (not lines[last].strip() or lines[last].strip() == "---"):
        last += 1
    return last if last == total else entries[-1].last_line


def _group_lines(text: str, first: int) -> int:
    """A bare date heading above the first bullets belongs to them."""
    lines = text.splitlines()
    up = first - 1
    while up >= 0 and not lines[up].strip():
        up -= 1
    return first - up if up >= 0 and re.match(r"#{2,3}\s+[\[*]*\d{4}-\d{2}-\d{2}[\]*]*\s*$", lines[up]) else 0


def _render(text: str, entries: Sequence[LogEntry], draft: Draft) -> str:
    form = grammar_of(text, entries)
    if form == BULLETS:
        return _bullets(text, draft)
    sample = entries[0].text if entries else ""
    dash = next(
        (each for each in ("—", "–", "-") if re.search(rf"\d{{4}}-\d{{2}}-\d{{2}}\]?\s*{each}\s", sample)), "–"
    )
    inside = bool(re.search(r"\*\*Type:\*\*", sample)) or not re.search(r"\*\*Type\*\*", sample)
    bullet = "- " if re.search(r"(?m)^- \*\*Type", sample) else ""
    title = f"{draft.kind} on {draft.subject}"
    head = f"## {draft.date} | {draft.kind} | {title}" if form == PIPES else f"## {draft.date} {dash} {title}"
    lines = [head, draft.mark, ""]
    if form != PIPES:
        lines.append(f"{bullet}{_label('Type', inside)} {draft.kind}")
    lines += [f"{bullet}{_label('General description', inside)} {draft.description}", ""]
    for name, bullets in draft.parts:
        lines += [f"**{name}**:" if form == PIPES else f"### {name}", "", *bullets, ""]
    return "\n".join(lines)


def _label(name: str, inside: bool) -> str:
    return f"**{name}:**" if inside else f"**{name}**:"


def _bullets(text: str, draft: Draft) -> str:
    grouped = bool(re.search(r"(?m)^## \d{4}-\d{2}-\d{2}\s*$", text)) and not re.search(
        rf"(?m)^## {draft.date}\s*$", text
    )
    lines = [f"## {draft.date}", ""] if grouped else []
    lines += [
        f"- **Date**: {draft.date}",
        f"- **Type**: {draft.kind}",
        f"- **General description**: {draft.kind} on {draft.subject}: {draft.description}",
        "- **Details**:",
    ]
    for name, bullets in draft.parts:
        lines.append(f"  - {name}:")
        lines += [f"    {line}" for line in bullets]
    return "\n".join([*lines, f"  {draft.mark}", ""])


def parts_of_summary(text: str) -> list[tuple[str, list[str]]]:
    """The four parts of a summary with their lines, in the summary's order."""
    found: list[tuple[str, list[str]]] = []
    current: list[str] | None = None
    for line in text.splitlines():
        heading = re.match(r"#{2,4}\s+(.+?)\s*$", line)
        if heading:
            name = next((part for part in _PARTS if heading[1].casefold().startswith(part.casefold())), None)
            current = None
            if name:
                current = []
                found.append((name, current))
        elif re.fullmatch(r"\s*(?:---+|\*\*Proposed skill.*)\s*", line):
            current = None
        elif current is not None and line.strip():
            current.append(line.rstrip())
    return found


def missing_parts(parts: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Parts that a summary does not have, or that are empty: a failure that nobody wrote down is lost."""
    filled = {name for name, lines in parts if lines}
    return [name for name in _PARTS if name not in filled]
