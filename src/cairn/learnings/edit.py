"""Add entries to AGENT.md: numbers are never reused, and no byte that was there changes.

The number is one more than the largest of the same type in any spelling; the file's own id style is followed when
it has one. An entry goes to the end of its own section, wherever others were put.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cairn.errors import BadInput, UsageError
from cairn.learnings.evidence import LABELS
from cairn.learnings.identity import FAILURE, KINDS, SIBLING_PREFIX, SUCCESS, EntryId, parse_heading
from cairn.learnings.model import FIRST_SEEN, SECTION_TITLES, Document, Section
from cairn.learnings.parse import parse
from cairn.learnings.splice import content, field_lines, insert_apart

TITLE = "Pallas Kernel Optimization Agent Knowledge"
FIELDS = {
    FAILURE: ("Symptom", "Root cause", "Fix"),
    SUCCESS: ("Optimization", "Impact", "Why it works", "Applicable when"),
}
T = TypeVar("T")


@dataclass(frozen=True)
class NewEntry:
    """A learning to add. `fields`: label and value in order; First seen is made of `date` and `kernel`."""

    kind: str
    title: str
    fields: tuple[tuple[str, str], ...]
    kernel: str | None
    date: str


@dataclass(frozen=True)
class IdStyle:
    """How a file writes the ids of one type; `width` is the least number of digits."""

    prefix: str
    width: int
    bracketed: bool

    def id(self, number: int) -> str:
        return f"{self.prefix}{number:0{self.width}d}"

    def heading(self, name: str, title: str) -> str:
        return f"[{name}] {title}" if self.bracketed else f"{name}: {title}"


@dataclass(frozen=True)
class Edit:
    """The text before and after, the ids that were given or changed, and the sections that had to be made.

    `archived`: the new text of the archive file when entries went there, else empty.
    """

    before: str
    after: str
    ids: tuple[str, ...]
    sections: tuple[str, ...] = ()
    archived: str = ""


def id_style(document: Document, kind: str, elsewhere: Iterable[EntryId] = ()) -> IdStyle:
    """The style most entries of a type have (of two, the one seen last); the specified one in an empty file.

    A file with no entry of the type follows `elsewhere` (archive, other branches), else its other type.
    """
    numbered = [entry for entry in document.entries if entry.ids[0].number is not None]
    own = [entry.ids[0] for entry in numbered if entry.kind == kind]
    own = own or [name for name in elsewhere if name.kind == kind and name.number is not None]
    ids = own or [entry.ids[0] for entry in numbered]
    if not ids:
        return IdStyle("F" if kind == FAILURE else "S", 3, True)
    prefix = _most_common([name.prefix for name in ids])
    widths = [_digits(name) for name in ids if name.prefix == prefix and name.padded]
    alike = [entry.heading.bracketed for entry in numbered if entry.kind == kind]
    bracketed = _most_common(alike or [entry.heading.bracketed for entry in numbered] or [True])
    return IdStyle(prefix if own else SIBLING_PREFIX[prefix], min(widths, default=1), bracketed)


def _digits(name: EntryId) -> int:
    return sum(1 for character in name.raw.removesuffix(name.suffix) if character.isdigit())


def _most_common(values: Sequence[T]) -> T:
    return Counter(reversed(values)).most_common(1)[0][0]


def next_number(document: Document, kind: str, elsewhere: Iterable[EntryId] = ()) -> int:
    """One more than the largest number of a type, in this text and in `elsewhere` (other branches)."""
    here = (name for entry in document.entries for name in entry.ids)
    used = [name.number for name in (*here, *elsewhere) if name.kind == kind and name.number is not None]
    return max(used, default=0) + 1


def next_id(document: Document, kind: str, elsewhere: Iterable[EntryId] = ()) -> str:
    """The id the next entry of a type gets, in the file's own style."""
    elsewhere = tuple(elsewhere)
    return id_style(document, kind, elsewhere).id(next_number(document, kind, elsewhere))


def add(text: str, entries: Sequence[NewEntry], elsewhere: Sequence[EntryId] = ()) -> Edit:
    """Put entries at the end of their sections; an empty text gets the whole skeleton first.

    Raises:
        UsageError: an entry is incomplete, or one of the same title is already there.
        BadInput: an open fence or comment would swallow the entry.
    """
    after, ids, made = text, list[str](), list[str]()
    if not text.strip("\ufeff \t\r\n"):
        after += skeleton(parse(text).markdown.newline)
    for entry in entries:
        document = parse(after)
        _check(entry, document)
        if document.section(entry.kind) is None:
            made.append(SECTION_TITLES[entry.kind])
            document = _reread(document, _with_section(document, entry.kind), entry.kind)
        name = next_id(document, entry.kind, elsewhere)
        after = _with_entry(document, entry, name)
        _verify(document, parse(after), name)
        ids.append(name)
    return Edit(text, after, tuple(ids), tuple(made))


def skeleton(newline: str) -> str:
    """A file with a title and two empty sections."""
    lines = [f"# {TITLE}", *(f"## {SECTION_TITLES[kind]}" for kind in KINDS)]
    return (newline * 2).join(lines) + newline


def _check(entry: NewEntry, document: Document) -> None:
    given = {label.casefold() for label, value in entry.fields if value.strip()}
    if not entry.title.strip():
        raise UsageError("a learning needs a title")
    if missing := [label for label in FIELDS[entry.kind] if label.casefold() not in given]:
        hint = "add " + " ".join(f"--field '{label}=...'" for label in missing)
        raise UsageError(f"a {entry.kind} needs {', '.join(missing)}", hint=hint)
    if entry.kernel is None and FIRST_SEEN.casefold() not in given:
        raise UsageError("not said for which kernel it was seen", hint="add --kernel NAME")
    for label, _ in entry.fields:
        if not label.strip() or set(label) & set("*:\r\n"):
            raise UsageError(f"`{label}` cannot be a label")
    title = _words(entry.title)
    same = [old.id for old in document.entries if old.kind == entry.kind and _words(old.title) == title]
    if same:
        raise UsageError(
            f"`{entry.title}` is already there as {same[0]}", hint="extend that entry, or say what differs"
        )


def _words(text: str) -> str:
    return " ".join(text.casefold().split())


def _with_section(document: Document, kind: str) -> str:
    """Failures go before the successes, successes to the end of the file."""
    other = document.section(SUCCESS) if kind == FAILURE else None
    at = other.span.first - 1 if other else len(document.markdown.lines)
    level = other.level if other else 2
    return insert_apart(document, at, [f"{'#' * level} {SECTION_TITLES[kind]}"])


def _with_entry(document: Document, entry: NewEntry, name: str) -> str:
    section = document.section(entry.kind)
    assert section is not None
    heading = id_style(document, entry.kind).heading(name, " ".join(entry.title.split()))
    lines = [f"{'#' * _level(document, section)} {heading}", *_field_lines(entry)]
    return insert_apart(document, section.span.last, lines)


def _level(document: Document, section: Section) -> int:
    levels = [entry.level for entry in document.entries if entry.level >= section.level]
    return min(_most_common(levels) if levels else section.level + 1, 6)


def _field_lines(entry: NewEntry) -> list[str]:
    own = {label.casefold(): label for label in FIELDS[entry.kind]}
    given = [(own.get(label.strip().casefold(), label.strip()), value) for label, value in entry.fields]
    seen = [value for label, value in given if label.casefold() == FIRST_SEEN.casefold()]
    order = [*own.values(), "", *LABELS]  # other fields stand between those of the template and the evidence
    body = sorted(
        (pair for pair in given if pair[0].casefold() != FIRST_SEEN.casefold()),
        key=lambda pair: order.index(pair[0] if pair[0] in order else ""),
    )
    body += [(FIRST_SEEN, value) for value in seen or [f"{entry.date}, {entry.kernel} optimization"]]
    return [line for label, value in body for line in field_lines(label, value)]


def _verify(before: Document, after: Document, name: str) -> None:
    """The new entry must be seen by a reader, in its section, and every old one as it was."""
    added = parse_heading(f"[{name}]")
    assert added is not None
    found = after.find(added.ids[0])
    in_place = len(found) == 1 and found[0].section is not None and found[0].section.kind == found[0].kind
    others = [content(entry) for entry in after.entries if entry not in found]
    if not in_place or others != [content(entry) for entry in before.entries]:
        raise _swallowed(before)


def _reread(before: Document, text: str, kind: str) -> Document:
    after = parse(text)
    if after.section(kind) is None:
        raise _swallowed(before)
    return after


def _swallowed(document: Document) -> BadInput:
    fence = document.markdown.open_fence
    return BadInput(
        "a new entry would not be read back as one",
        line=None if fence is None else fence + 1,
        hint="close the code fence or HTML comment that is left open above its place",
    )
