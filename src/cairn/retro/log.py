"""Entries of an experiment log, in the three grammars that real logs are written in.

A dated heading with a title, a heading `date | type | title`, or a group of bullets that begins with `Date`. A
bare date as heading is a group of entries, not an entry; bullets without a real date describe the format.
"""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cairn.text.markdown import Heading, Markdown, read_markdown

_DATE = r"(\d{4}-\d{2}-\d{2})"
_HEADING = re.compile(rf"[\[*]*{_DATE}[\]*]*\s*(?:[-–—:|]+\s*(.*))?")
_TYPE = re.compile(r"([A-Z][\w -]{2,24}?)\s*(?::|\|)\s+(.+)")
_LABEL = r"\s*(?:[-*+]\s+)?\*\*{}(?::\*\*|\*\*\s*:)\s*(.*?)\s*"


@dataclass(frozen=True)
class LogEntry:
    """One entry: 1-based lines, the date as written, the type if it says one, and all its text."""

    title: str
    date: str
    type: str | None
    first_line: int
    last_line: int
    text: str


def read_log(text: str) -> tuple[LogEntry, ...]:
    """All entries of a log in the order of the file, which need not be that of time."""
    markdown = read_markdown(text)
    starts = sorted(_starts(markdown), key=lambda start: start.first_line)
    stops = [start.first_line for start in starts] + [len(markdown.lines) + 1]
    entries = (_complete(markdown, start, end) for start, end in zip(starts, stops[1:], strict=True))
    return tuple(entry for entry in entries if entry)


def is_date(text: str) -> bool:
    """True for a day that exists, written YYYY-MM-DD."""
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _starts(markdown: Markdown) -> Iterator[LogEntry]:
    """Where entries begin; a heading that is none has an empty date, it only ends the entry before it."""
    open_heading = False  # a dated heading whose own Date bullet is still to come
    places: list[tuple[int, str | None]] = [(heading.line, heading.text) for heading in _tops(markdown)]
    places += [(block.line, None) for block in markdown.blocks if block.kind == "item"]
    for line, heading in sorted(places, key=lambda place: place[0]):
        if heading is not None:
            match = _HEADING.fullmatch(heading.strip())
            titled = bool(match and match[2])
            open_heading = titled
            yield LogEntry(
                match[2] if match and titled else "", match[1] if match and titled else "", None, line + 1, 0, ""
            )
        elif date := _labelled(markdown.lines[line], "Date"):
            if not open_heading:
                yield LogEntry("", date, None, line + 1, 0, "")
            open_heading = False


def _tops(markdown: Markdown) -> list[Heading]:
    return [
        heading for heading in markdown.headings if heading.level <= 2 or _HEADING.fullmatch(heading.text.strip())
    ]


def _complete(markdown: Markdown, start: LogEntry, end: int) -> LogEntry | None:
    if not is_date(start.date):
        return None
    lines = markdown.lines[start.first_line - 1 : end - 1]
    text = "".join(lines).rstrip()
    match = _TYPE.fullmatch(start.title)
    in_heading, title = (match[1], match[2]) if match else (None, start.title)
    described = next((found for line in lines if (found := _labelled(line, "General description"))), "")
    return replace(
        start,
        title=title or described or start.date,
        type=next((found for line in lines if (found := _labelled(line, "Type"))), in_heading),
        last_line=start.first_line + text.count("\n"),
        text=text,
    )


def _labelled(line: str, label: str) -> str:
    """What follows `**label**:` in a line, empty when the line has no such label."""
    match = re.fullmatch(_LABEL.format(re.escape(label)), line.rstrip("\r\n"))
    return match[1].strip("`* ") if match else ""
