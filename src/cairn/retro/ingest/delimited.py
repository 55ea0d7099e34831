"""CSV and TSV: result files of loops, sweeps, step logs, and Nsight Compute's two layouts."""

import csv
import re
from collections.abc import Sequence

from cairn.retro.facts import Document, Fact, Place
from cairn.retro.ingest.tables import Cell, Table, facts_of_table
from cairn.text.numbers import plain
from cairn.text.units import unit_of

_DIRECTION = re.compile(r"#\s*(?:(\S+?)[_ ])?metric_direction\s*[:=]\s*(higher|lower)", re.I)
_KERNEL, _NAME, _UNIT, _VALUE = "Kernel Name", "Metric Name", "Metric Unit", "Metric Value"
_MAX_CELL = 2_000_000

Row = tuple[int, list[str]]


def read_delimited(lines: Sequence[str], place: Place, document: Document, tabs: bool, limit: int) -> None:
    """Add the facts of a table in a file; comment lines in front may say which way a metric is better."""
    start = 0
    while start < len(lines) and (not lines[start].strip() or lines[start].startswith(("#", "==PROF==", "=="))):
        if match := _DIRECTION.match(lines[start]):
            document.direction[match[1] or "metric"] = match[2].lower()
        start += 1
    rows = _rows(lines, start, "\t" if tabs else _delimiter(lines[start:]))
    if not rows:
        return
    header = [each.strip() for each in rows[0][1]]
    if {_NAME, _VALUE} <= set(header):
        document.facts += _ncu_long(header, rows[1:], place)
    elif _KERNEL in header and len(rows) > 1 and not rows[1][1][header.index(_KERNEL)].strip():
        document.facts += _ncu_wide(header, rows, place)
    else:
        document.facts += _table(rows, place, limit)
    if len(document.facts) > limit:
        del document.facts[limit:]
        document.warnings.append(f"only the first {limit} values were read")


def _delimiter(lines: Sequence[str]) -> str:
    head = next((line for line in lines if line.strip()), "")
    return max((",", ";", "\t", "|"), key=lambda each: (head.count(each), each == ","))


def _rows(lines: Sequence[str], start: int, delimiter: str) -> list[Row]:
    """Rows with the 1-based line they begin on."""
    csv.field_size_limit(_MAX_CELL)
    text = (line + "\n" for line in lines[start:])
    if delimiter == "\t" and not any('"' in line for line in lines[:50]):
        reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(text, delimiter=delimiter)
    found: list[Row] = []
    before = 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            break
        if row is None:
            break
        if any(each.strip() for each in row):
            found.append((start + before + 1, row))
        before = reader.line_num
    return found


def _table(rows: Sequence[Row], place: Place, limit: int) -> list[Fact]:
    first_line, head = rows[0]
    if all(plain(each.strip()) for each in head if each.strip()):  # no header at all
        return []
    header = [Cell(each, first_line) for each in head]
    body = [[Cell(each.strip(), line) for each in row] for line, row in rows[1 : 1 + limit]]
    return facts_of_table(Table(header, body), place, "csv")


def _ncu_long(header: Sequence[str], rows: Sequence[Row], place: Place) -> list[Fact]:
    at = {name: header.index(name) for name in (_NAME, _VALUE)}
    unit_at = header.index(_UNIT) if _UNIT in header else None
    found = []
    for line, row in rows:
        if len(row) > max(at.values()):
            unit = row[unit_at] if unit_at is not None and unit_at < len(row) else ""
            found += _ncu_fact(place, line, row[at[_VALUE]], row[at[_NAME]], unit, _kernel(header, row))
    return found


def _ncu_wide(header: Sequence[str], rows: Sequence[Row], place: Place) -> list[Fact]:
    units = rows[1][1]
    first = header.index(_KERNEL)
    found = []
    for line, row in rows[2:]:
        for at, text in enumerate(row):
            if at > first and at < len(header) and at < len(units):
                found += _ncu_fact(place, line, text, header[at], units[at], _kernel(header, row))
    return found


def _kernel(header: Sequence[str], row: Sequence[str]) -> str:
    """The kernel's name without its arguments, and its launch."""
    name = row[header.index(_KERNEL)] if _KERNEL in header and header.index(_KERNEL) < len(row) else ""
    launch = row[header.index("ID")] if "ID" in header and header.index("ID") < len(row) else ""
    return re.sub(r"\(.*", "", name).strip() + (f" #{launch}" if launch else "")


def _ncu_fact(place: Place, line: int, text: str, name: str, unit: str, run: str) -> list[Fact]:
    quantity = plain(text.strip())
    if not quantity or not name.strip():
        return []
    known = unit_of(unit) if unit else None
    stated = known.name if known else unit or None
    return [Fact(place.path, line, quantity.raw, quantity.value, stated, name.strip(), run,
                 "nsight compute", "results", "ncu")]  # fmt: skip
