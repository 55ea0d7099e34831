"""Facts in tables, whatever their shape: one row per run, one row per metric, before and after, entity by method.

The header decides. A first column called Metric or Parameter means that rows are values and columns are runs; any
other table has a run per row and a value per column, with units in the header.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from cairn.retro.facts import BASELINE, NOTE, WINNER, Fact, Place
from cairn.retro.ingest.lines import fact_of
from cairn.retro.sections import plain_text
from cairn.text.numbers import Quantity, plain, quantities
from cairn.text.units import Unit, unit_of, unit_of_name


class Cell(NamedTuple):
    """The text of a cell and the 1-based line it stands on."""

    text: str
    line: int


@dataclass(frozen=True)
class Table:
    """A header and rows of cells; rows may be shorter or longer than the header."""

    header: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


_VALUE_FIRST = re.compile(
    r"metrics?|(?:hyper-?)?param(?:eter)?s?|settings?|config(?:uration)?s?|propert(?:y|ies)|measures?|statistics?|stats?"
    r"|keys?|fields?|options?|quantit(?:y|ies)|aspects?|criteri(?:on|a)|attributes?|counters?|features?|measurements?"
    r"|specs?|arguments?|flags?|resources?|indicators?|kpis?|components?|dimensions?",
    re.I,
)
_VALUE_COLUMN = re.compile(
    r"values?|results?|settings?|amounts?|numbers?|score|measured|default|recommended", re.I
)
_IDENTITY = re.compile(
    r"#|no\.?|id|ids?|run[_ ]?ids?|index|idx|(?:git[_ ])?(?:commit|hash|sha)(?:[_ ](?:id|hash|sha))?"
    r"|w&b(?: run)?|wandb.*"
    r"|links?|urls?|files?|paths?|date|time ?stamp|created|updated|pr|issue|job(?:[_ /]+\w+)*|ticket|author|version|git"
    r"|shapes?|tensor shapes?|pid|process id|context|stream|host name|device|cc|hash|uuid|rank",
    re.I,
)
_UNIT_COLUMN = re.compile(r"units?|metric unit", re.I)
_PROSE_COLUMN = re.compile(
    r"notes?|comments?|description|details?|remarks?|why|reason|rationale|lesson.*|cause|solution|symptom|fix|evidence"
    r"|finding|observations?|implication|interpretation|explanation|hypothesis|change|verdict|status|what.*|summary"
    r"|previous claim|actual finding|impact|action|use",
    re.I,
)
_STEP = re.compile(r"_?(?:global[_ ])?(?:step|iteration|iter|epoch)", re.I)
_TRY = re.compile(r"status|decision|commit|verdict|kept|outcome", re.I)
_SERIES = re.compile(
    r"run(?:[_ ](?:name|id))?|name|variant|experiment|config(?:_name)?|seed|model|label|tag", re.I
)
_LABEL = re.compile(r"\b(?:label|variant|config[_ ]?name|run[_ ]name)\b", re.I)
_EMPHASIS = re.compile(r"(?:\*\*|__|<b>|<strong>).*\d.*(?:\*\*|__|</b>|</strong>)")
_BASELINE = re.compile(r"\bbase-?line\b|\breference\b|\bbefore\b|\bcontrol\b", re.I)
_MOST_PERCENT = 1000
_WRAP = re.compile(r"^[\s*_`~]*|[\s*_`]*$")


def facts_of_table(table: Table, place: Place, shape: str = "table") -> list[Fact]:
    """Every quantity of a table as a fact; numbers in identifying columns are left out."""
    header = [plain_text(cell.text) for cell in table.header]
    where = Place(place.path, place.run, table.caption or place.group, place.section)
    rows_are_values = bool(header) and len(header) > 1 and _rows_are_values(header, table)
    found = _header_facts(table, where, shape)
    unique = _first_cells_differ(table)
    step_at = _step_column(header, table)
    for row in table.rows:
        if len(row) == 1 and len(header) > 1:  # a line that only looks like a row
            found += _prose(row[0], where, header[0], place.run, shape)
        elif rows_are_values:
            found += _value_row(header, row, where, shape)
        elif step_at is not None:
            found += _step_row(header, row, where, shape, step_at)
        else:
            found += _run_row(header, row, where, shape, unique)
    return found


def _rows_are_values(header: Sequence[str], table: Table) -> bool:
    if _VALUE_FIRST.fullmatch(header[0]):
        return True
    if header[0] == "" and len(header) == 2:
        return True
    return len(header) == 2 and bool(_VALUE_COLUMN.fullmatch(header[1])) and not _IDENTITY.fullmatch(header[0])


def _header_facts(table: Table, place: Place, shape: str) -> list[Fact]:
    """Sizes in a header row (`| Size | 1024 | 2048 |`) are values of its first cell."""
    if len(table.header) < 2:
        return []
    name = plain_text(table.header[0].text)
    found = []
    for cell in table.header[1:]:
        if quantity := plain(_bare(cell.text)):
            found.append(_at(quantity, cell, place, name, shape))
    return found


def _value_row(header: Sequence[str], row: Sequence[Cell], place: Place, shape: str) -> list[Fact]:
    """A row `metric | value | value`: the row names, the columns are runs, unless there is only one value."""
    name = plain_text(row[0].text)
    unit_at = next((at for at, title in enumerate(header) if _UNIT_COLUMN.fullmatch(title)), None)
    unit = plain_text(row[unit_at].text) if unit_at is not None and unit_at < len(row) else name
    found = _label_facts(row[0], place, header[0], shape)
    for at, cell in enumerate(row[1:], 1):
        title = header[at] if at < len(header) else ""
        if at == unit_at:
            continue
        if _PROSE_COLUMN.fullmatch(title):
            found += _prose(cell, place, name, place.run, shape)
            continue
        run = place.run if _VALUE_COLUMN.fullmatch(title) or not title else title
        found += _cell_facts(cell, Place(place.path, run, place.group, place.section), name, unit, shape)
    return found


def _first_cells_differ(table: Table) -> bool:
    first = [plain_text(row[0].text) for row in table.rows if row]
    return len(set(first)) == len(first)


def _step_column(header: Sequence[str], table: Table) -> int | None:
    """The column that counts steps, when every row has a number there and is not a try of its own."""
    if any(_TRY.fullmatch(title) for title in header):
        return None
    at = next((at for at, title in enumerate(header) if _STEP.fullmatch(title)), None)
    if at is None or len(table.rows) < 3:
        return None
    return at if all(len(row) > at and plain(_bare(row[at].text)) for row in table.rows) else None


def _step_row(header: Sequence[str], row: Sequence[Cell], place: Place, shape: str, step_at: int) -> list[Fact]:
    """A row of a series: its values belong to one step, its words name the run."""
    quantity = plain(_bare(row[step_at].text))
    words = [
        plain_text(cell.text) for at, cell in enumerate(row) if at < len(header) and _SERIES.fullmatch(header[at])
    ]
    where = Place(place.path, " / ".join(filter(None, words)) or place.run, place.group, place.section)
    found = []
    for at, cell in enumerate(row):
        title = header[at] if at < len(header) else ""
        if not _IDENTITY.fullmatch(title) and not _SERIES.fullmatch(title):
            found += _cell_facts(cell, where, title, title, shape)
    step = quantity.value if quantity else None
    return [msgspec.structs.replace(fact, step=step) for fact in found]


def _run_row(header: Sequence[str], row: Sequence[Cell], place: Place, shape: str, unique: bool) -> list[Fact]:
    """A row per run: columns name values; the leading text is the run, more of it where the first does not tell."""
    run = _labelled_run(header, row) or _run_of(header, row[:1] if unique else row[:4]) or place.run
    where = Place(place.path, run, place.group, place.section)
    found = []
    for at, cell in enumerate(row):
        title = header[at] if at < len(header) else ""
        if _IDENTITY.fullmatch(title) and (at == 0 or title.casefold() != "rank"):
            continue
        if at == 0:
            found += _label_facts(cell, where, title, shape)
        elif _PROSE_COLUMN.fullmatch(title) and not _TRY.fullmatch(title):
            found += _prose(cell, where, title, run, shape)
        else:
            found += _cell_facts(cell, where, title, title, shape)
    return found


def _labelled_run(header: Sequence[str], row: Sequence[Cell]) -> str:
    """Behind an id, the column that says what the run is called: `run_id | label | ...`."""
    if not header or not _IDENTITY.fullmatch(header[0]):
        return ""
    at = next((at for at, title in enumerate(header) if _LABEL.search(title)), None)
    text = plain_text(row[at].text) if at is not None and at < len(row) else ""
    return text if any(map(str.isalpha, text)) else ""


def _run_of(header: Sequence[str], row: Sequence[Cell]) -> str:
    """The run's name: the first cell, and the words of the cells that follow it up to the first number."""
    parts = []
    for at, cell in enumerate(row):
        title = header[at] if at < len(header) else ""
        text = plain_text(cell.text)
        if at and (_PROSE_COLUMN.fullmatch(title) or _IDENTITY.fullmatch(title) or any(map(str.isdigit, text))):
            break
        if at and len(text) > 40:
            break
        if text and text not in "-–—":
            parts.append(text if at or not plain(_bare(text)) or not title else f"{title}={text}")
    return " / ".join(parts)


def _label_facts(cell: Cell, place: Place, title: str, shape: str) -> list[Fact]:
    """Numbers in the first cell of a row: a size, or `bs=4` within a name."""
    if quantity := plain(_bare(cell.text)):
        if not title or _IDENTITY.fullmatch(title):
            return []
        return [_at(quantity, cell, place, title, shape)]
    return [_at(each, cell, place, _key_in(cell.text, each) or title, shape) for each in quantities(cell.text)]


def _key_in(text: str, quantity: Quantity) -> str:
    match = re.search(r"([A-Za-z_]\w*)\s*[=:]\s*$", text[: quantity.start])
    return match[1] if match else ""


def _cell_facts(cell: Cell, place: Place, name: str, unit_from: str, shape: str) -> list[Fact]:
    """The main value of a cell, then what stands beside it; or the cell as a setting in words."""
    text = cell.text
    bare = _bare(text)
    winner = WINNER if text[:1] in "*_<" and _EMPHASIS.search(text) else ""
    baseline = BASELINE if _is_baseline(place.run) or _is_baseline(name) else ""
    quantity = plain(bare)
    unit = unit_of_name(unit_from) or unit_of(unit_from)
    if quantity:
        return [_with_unit(_at(quantity, cell, place, name, shape, winner + baseline), unit)]
    found = quantities(text, duration=":" in text)
    if not found:
        words = plain_text(text)
        if not words or words in "-–—" or len(words) > 80:
            return []
        return [Fact(place.path, cell.line, words, None, None, name, place.run, place.group, place.section, shape,
                     flags=winner + baseline)]  # fmt: skip
    facts = []
    for at, each in enumerate(found):
        joined = at and re.fullmatch(
            r"[\s`*]*(?:→|->|=>|-|–|—|to|,|/|;|vs\.?)[\s`*~]*", text[found[at - 1].end : each.start]
        )
        note = NOTE if at and not joined else ""
        facts.append(
            _with_unit(_at(each, cell, place, name, shape, winner + baseline + note), None if note else unit)
        )
    return facts


@functools.lru_cache(maxsize=4096)
def _is_baseline(name: str) -> bool:
    return bool(_BASELINE.search(name))


def _prose(cell: Cell, place: Place, name: str, run: str, shape: str) -> list[Fact]:
    """Numbers in a column of words."""
    where = Place(place.path, run, place.group, place.section)
    return [_at(each, cell, where, name, shape, NOTE) for each in quantities(cell.text)]


def _at(quantity: Quantity, cell: Cell, place: Place, name: str, shape: str, flags: str = "") -> Fact:
    return fact_of(quantity, cell.line, place, name, shape, flags)


def _with_unit(fact: Fact, unit: Unit | None) -> Fact:
    """The fact in the unit of its column, where it has none of its own; a count in a column of shares has none."""
    count = unit is not None and unit.name == "%" and abs(fact.value or 0.0) > _MOST_PERCENT
    return fact if unit is None or fact.unit or count else msgspec.structs.replace(fact, unit=unit.name)


def _bare(text: str) -> str:
    """A cell without the marks round it."""
    return _WRAP.sub("", text)
