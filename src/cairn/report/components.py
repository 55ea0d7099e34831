"""The parts that pages are made of: tiles, tables that sort and filter, lists of facts, pictures, diffs.

Every function gives markup; texts are escaped and made inert on the way in. Tables become sortable and searchable by
the page's script, and are plain tables without it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from cairn.report.inert import inert
from cairn.report.page import environment

Tone = Literal["", "keep", "discard", "inconclusive", "invalid", "crash", "accent", "warning", "muted"]
_DIFF_TONES = (("+++", "head"), ("---", "head"), ("diff ", "head"), ("index ", "head"), ("@@", "hunk"))


@dataclass(frozen=True)
class Tile:
    """A figure at the top of a page: what it is, its value, and the words that keep it honest."""

    label: str
    value: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Column:
    """A column. `number`: right-aligned; `choose`: gets a filter with its distinct values; `text`: may wrap."""

    title: str
    number: bool = False
    choose: bool = False
    text: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell. `value`: the exact number behind a rounded text, by which it sorts; `href`: such as `#a0001`."""

    text: str
    value: float | str | None = None
    href: str = ""
    tone: Tone = ""
    badge: bool = False


def tiles(rows: Iterable[Tile]) -> Markup:
    """Figures side by side."""
    return _part("tiles", list(rows))


def facts(rows: Iterable[tuple[str, str]]) -> Markup:
    """Terms and what they are."""
    return _part("facts", [(inert(term), inert(value)) for term, value in rows])


def table(
    name: str,
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell | str]],
    *,
    search: bool = True,
    sort: bool = True,
) -> Markup:
    """A table.

    Args:
        name: unique in its page.
        caption: what it shows, in a few words; screen readers say it first.
        search: whether it gets a box to search in.
        sort: whether its headings sort it; what has an order of its own should keep it.
    """
    cells = [[each if isinstance(each, Cell) else Cell(each) for each in row] for row in rows]
    return _part(
        "table", name, caption, columns, [[_inert(each) for each in row] for row in cells], (search, sort)
    )


def picture(caption: str, wide: str, narrow: str = "") -> Markup:
    """An SVG of `canvas.svg`, with another one for narrow screens."""
    return _part("picture", caption, Markup(wide), Markup(narrow))


def diff(text: str) -> Markup:
    """A unified diff, coloured by line."""
    lines = [(_tone_of(line), line) for line in inert(text).split("\n")]
    return _part("diff", lines)


def folded(summary: str, body: Markup) -> Markup:
    """Something to be opened."""
    return _part("folded", inert(summary), body)


def notice(level: Literal["note", "warning"], text: str) -> Markup:
    """A line that must not be missed."""
    return _part("notice", level, inert(text))


def paragraph(text: str) -> Markup:
    """Plain words."""
    return _part("paragraph", inert(text))


def bullets(texts: Iterable[str]) -> Markup:
    """A list."""
    return _part("bullets", [inert(text) for text in texts])


def joined(parts: Iterable[Markup]) -> Markup:
    """Parts one below the other."""
    return Markup("\n").join(parts)


def _part(name: str, *arguments: object) -> Markup:
    module = environment().get_template("components.html.j2").module
    return Markup(getattr(module, name)(*arguments))


def _inert(cell: Cell) -> Cell:
    value = inert(cell.value) if isinstance(cell.value, str) else cell.value
    return Cell(inert(cell.text), value, cell.href, cell.tone, cell.badge)


def _tone_of(line: str) -> str:
    for start, tone in _DIFF_TONES:
        if line.startswith(start):
            return tone
    return {"+": "add", "-": "del"}.get(line[:1], "")
