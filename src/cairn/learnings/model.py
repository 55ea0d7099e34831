"""What AGENT.md holds: sections, entries, fields, each with its place in the file."""

import functools
import re
from dataclasses import dataclass

from cairn.learnings.identity import FAILURE, SUCCESS, EntryId, HeadingId
from cairn.text.markdown import Markdown

FIRST_SEEN = "First seen"
SECTION_TITLES = {FAILURE: "Failure Patterns", SUCCESS: "Successful Optimizations"}
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")


@dataclass(frozen=True)
class Span:
    """A run of whole lines: 1-based first and last line, and the bytes they fill in the file."""

    first: int
    last: int
    start_byte: int
    end_byte: int


@dataclass(frozen=True)
class Field:
    """`- **Label**: value`; continuation lines and nested lists belong to the value."""

    label: str
    value: str
    span: Span

    @property
    def key(self) -> str:
        return self.label.casefold()


@dataclass(frozen=True)
class Section:
    """A heading that is no entry, with all that stands below it; `kind` when it is one of the two series."""

    title: str
    level: int
    kind: str | None
    span: Span


@dataclass(frozen=True)
class Entry:
    """One learning. Labels may repeat and keep their order; `section` is where it stands, not what it is."""

    heading: HeadingId
    level: int
    section: Section | None
    fields: tuple[Field, ...]
    text: str
    span: Span

    @property
    def id(self) -> str:
        return self.heading.raw

    @property
    def title(self) -> str:
        return self.heading.title

    @property
    def ids(self) -> tuple[EntryId, ...]:
        return self.heading.ids

    @property
    def kind(self) -> str:
        return self.ids[0].kind

    def values(self, label: str) -> tuple[str, ...]:
        return self._values.get(label.casefold(), ())

    @functools.cached_property
    def _values(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for field in self.fields:
            found[field.key] = (*found.get(field.key, ()), field.value)
        return found

    @property
    def first_seen(self) -> str | None:
        return next(iter(self.values(FIRST_SEEN)), None)

    @property
    def date(self) -> str | None:
        """The first date that First seen gives, if any."""
        match = _DATE.search(self.first_seen or "")
        return match[0] if match else None


@dataclass(frozen=True)
class Document:
    """A whole file. `markdown.text` is what was read, unchanged."""

    markdown: Markdown
    sections: tuple[Section, ...]
    entries: tuple[Entry, ...]

    @functools.cached_property
    def code_lines(self) -> frozenset[int]:
        """0-based lines inside code fences, where nothing is a reference."""
        fences = (block for block in self.markdown.blocks if block.kind == "fence")
        return frozenset(line for block in fences for line in range(block.line, block.end_line))

    def find(self, wanted: EntryId) -> tuple[Entry, ...]:
        """Entries that carry an id; more than one when a file uses it twice."""
        return tuple(entry for entry in self.entries if wanted.key in {each.key for each in entry.ids})

    def section(self, kind: str) -> Section | None:
        """The section that holds one series; one with the specified title before any other."""
        fitting = [section for section in self.sections if section.kind == kind]
        exact = SECTION_TITLES[kind].casefold()
        return min(fitting, key=lambda section: section.title.casefold() != exact, default=None)
