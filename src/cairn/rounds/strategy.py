"""Why a variant was tried: its direction and motive, from Markdown that drifts from its template.

Looked for in this order: a heading `Variant: name` with bold fields below it (strategy.md, wherever it lies), then a
table with the columns Variant and Direction (batch_analysis.md, selection.md).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_HEADING = re.compile(r"#{2,6}\s+Variant:\s*`?([^`\n]+?)`?\s*(?:\(.*\))?\s*$", re.MULTILINE)
_ANY_HEADING = re.compile(r"^#{1,6}\s", re.MULTILINE)
_FIELD = re.compile(r"(?m)^\s*(?:[-*]\s+)?\*\*([^*\n]+?)\s*:?\*\*\s*:?\s*(.+)$")
_DIRECTION = ("technical direction", "direction")
_MOTIVE = ("profile motivation", "motivation", "approach")


@dataclass(frozen=True)
class Intent:
    """What a variant was to try, and why; either may be empty."""

    direction: str
    motive: str


def read_intents(paths: Iterable[Path]) -> dict[str, Intent]:
    """Intents by variant; the first file that names one wins."""
    found: dict[str, Intent] = {}
    for path in paths:
        if not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        for name, intent in (*_from_headings(text), *_from_tables(text)):
            found.setdefault(name, intent)
    return found


def _from_headings(text: str) -> list[tuple[str, Intent]]:
    found = []
    for match in _HEADING.finditer(text):
        following = _ANY_HEADING.search(text, match.end())
        body = text[match.end() : following.start() if following else len(text)]
        fields = {label.strip(" :").casefold(): value.strip() for label, value in _FIELD.findall(body)}
        found.append((match[1].strip(), Intent(_first(fields, _DIRECTION), _first(fields, _MOTIVE))))
    return found


def _first(fields: dict[str, str], labels: Sequence[str]) -> str:
    return next((fields[label] for label in labels if fields.get(label)), "")


def _from_tables(text: str) -> list[tuple[str, Intent]]:
    found, columns = [], list[str]()
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if not columns:
            columns = [cell.casefold() for cell in cells]
        elif "variant" in columns and "direction" in columns and len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            found.append((row["variant"].strip("`* "), Intent(row["direction"].replace("\\|", "|"), "")))
    return found
