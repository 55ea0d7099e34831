"""The troubleshooting guide in the form it has: a table of patterns, or a section per pattern.

Header copies in a Format section and `(Template)` rows are not entries. What stands behind the table is kept.
"""

import re
from dataclasses import dataclass

from cairn.retro.ingest.text import lines_of
from cairn.retro.sections import plain_text
from cairn.text.table import cell as escaped

TABLE, SECTIONS = "table", "sections"
_HEADER = re.compile(r"\s*\|\s*(?:error )?pattern\b.*\|", re.I)
_FORMAT = re.compile(r"#{1,3}\s+(?:format|template|how to)\b", re.I)
_RULE = re.compile(r"\s*\|?(?:\s*:?-+:?\s*\|)+\s*(?::?-+:?\s*)?$")
_PLACEHOLDER = re.compile(r"\(?template\)?|pattern name|error pattern(?: name)?|\{.*\}|<.*>|example.*", re.I)
_CELL = re.compile(r"(?<!\\)\|")
_FIELDS = ("symptom", "cause", "solution")


@dataclass(frozen=True)
class GuideEntry:
    """One pattern of the guide with its 1-based line."""

    pattern: str
    symptom: str
    cause: str
    solution: str
    line: int


@dataclass(frozen=True)
class Guide:
    """The guide's form, its entries, and where a new one goes: a 1-based line to insert before."""

    form: str
    entries: tuple[GuideEntry, ...]
    insert_before: int


def read_guide(text: str) -> Guide:
    """Entries of a guide; an empty or missing one takes the section form."""
    lines = lines_of(text)
    rows, end = _table_rows(lines)
    if end:
        return Guide(TABLE, tuple(rows), end)
    return Guide(SECTIONS, tuple(_section_entries(lines)), len(lines) + 1)


def _table_rows(lines: list[str]) -> tuple[list[GuideEntry], int]:
    """Rows of the tables of patterns, and the line behind the last one that is not the format's example."""
    found: list[GuideEntry] = []
    end, inside, in_format = 0, False, False
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            in_format, inside = bool(_FORMAT.match(line)), False
        elif _HEADER.match(line):
            inside = not in_format
            end = number + 2 if inside else end
        elif inside and line.lstrip().startswith("|"):
            end = number + 1
            cells = [plain_text(each) for each in _CELL.split(line.strip().strip("|"))]
            if not _RULE.match(line) and cells and cells[0] and not _PLACEHOLDER.fullmatch(cells[0]):
                padded = [*cells, "", "", ""]
                found.append(GuideEntry(padded[0], padded[1], padded[2], " ".join(padded[3:]).strip(), number))
        elif inside and line.strip():
            inside = False
    return found, end


def _section_entries(lines: list[str]) -> list[GuideEntry]:
    found: list[GuideEntry] = []
    fields: dict[str, str] = {}
    title, at, key = "", 0, ""
    for number, line in enumerate([*lines, "## "], 1):
        match = re.match(r"(#{2,4})\s*(.*?)\s*#*$", line)
        if match and match[2].casefold().strip() in (*_FIELDS, "prevention", "related"):
            key = match[2].casefold().strip()
        elif match:
            if title and ("symptom" in fields or "solution" in fields) and not _PLACEHOLDER.fullmatch(title):
                found.append(_entry(title, fields, at))
            title, at, fields, key = plain_text(match[2]), number, {}, ""
        elif bold := re.match(r"\s*[-*]?\s*\*\*(Symptom|Cause|Solution|Fix)\*?\*?:?\*?\*?:?\s*(.*)", line, re.I):
            key = "solution" if bold[1].casefold() == "fix" else bold[1].casefold()
            fields[key] = bold[2]
        elif key and line.strip():
            fields[key] = f"{fields.get(key, '')} {line.strip()}"
    return found


def _entry(title: str, fields: dict[str, str], line: int) -> GuideEntry:
    symptom, cause, solution = (fields.get(each, "").strip() for each in _FIELDS)
    return GuideEntry(title, symptom, cause, solution, line)


def entry_text(guide: Guide, entry: GuideEntry, date: str, domain: str) -> str:
    """A new entry in the guide's own form, ending with a line feed."""
    values = (entry.pattern, entry.symptom, entry.cause, entry.solution)
    if guide.form == TABLE:
        return "| " + " | ".join(escaped(value, 600) for value in values) + " |\n"
    return (
        f"\n## {entry.pattern}\n\n**Added:** {date}\n**Domain:** {domain}\n\n### Symptom\n{entry.symptom}\n\n"
        f"### Cause\n{entry.cause}\n\n### Solution\n{entry.solution}\n"
    )
