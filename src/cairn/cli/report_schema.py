"""The format of the JSON in a page as a document, read off the rows themselves."""

import re
from typing import get_type_hints

import msgspec

from cairn.report import receipt_rows, rows

_FIELD = re.compile(r"^ {8}(\w+): (.*)$")
_TIDY = (("typing.", ""), ("NoneType", "None"), ("cairn.report.receipt_rows.", ""), ("cairn.report.rows.", ""))
FIRST = rows.Report


def row_types() -> list[type[msgspec.Struct]]:
    """Every row of the format, the whole page first."""
    found = [
        value
        for module in (rows, receipt_rows)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
    ]
    return sorted(found, key=lambda each: each is not FIRST)


def described(row: type[msgspec.Struct]) -> dict[str, str]:
    """What the docstring says about each field."""
    found: dict[str, str] = {}
    for line in (row.__doc__ or "").partition("Attributes:")[2].splitlines():
        if match := _FIELD.match(line):
            found[match[1]] = match[2]
        elif found and line.strip():
            found[list(found)[-1]] += f" {line.strip()}"
    return found


def schema_tables() -> str:
    """One table for each row: field, type, meaning."""
    return "\n".join(_table(row) for row in row_types())


def _table(row: type[msgspec.Struct]) -> str:
    hints, texts = get_type_hints(row), described(row)
    about = (row.__doc__ or "").strip().splitlines()[0]
    lines = [f"### {row.__name__}", "", about, "", "| field | type | meaning |", "|---|---|---|"]
    for field in msgspec.structs.fields(row):
        kind = _type_text(hints[field.encode_name]).replace("|", "\\|")
        lines.append(
            f"| `{field.encode_name}`{'' if field.required else ' (optional)'} | `{kind}` | {texts[field.name]} |"
        )
    return "\n".join([*lines, ""])


def _type_text(hint: object) -> str:
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    for before, after in _TIDY:
        text = text.replace(before, after)
    return text
