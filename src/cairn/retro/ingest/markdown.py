"""Markdown reports: one pass over the lines, because the block parser we use elsewhere needs a minute for 50 MB.

Only what facts need is told apart: front matter, fences, headings, pipe tables, HTML tables, bullets and prose. All of
CommonMark is not; a wrong guess here costs a name, never a number or its line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cairn.retro.facts import Document, Fact, Note, Place
from cairn.retro.ingest.html import html_tables
from cairn.retro.ingest.lines import fact_of, facts_of_line, label_of
from cairn.retro.ingest.structured import facts_of_json, facts_of_toml, facts_of_yaml
from cairn.retro.ingest.tables import Cell, Table, facts_of_table
from cairn.retro.sections import PARAMETERS, part_of, plain_text
from cairn.text.numbers import quantities

_FENCE = re.compile(r"[\s>]*(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}|~{3,})\s*([\w+#.-]*)")
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)\s*$")
_RULE = re.compile(r"\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_ITEM = re.compile(r"([\s>]*)(?:[-*+•]|\d{1,3}[.)])\s+")
_CELL = re.compile(r"(?<!\\)\|")
_ASSIGNMENT = re.compile(r"(?<![\w.])(?:--)?([A-Za-z_][\w.-]*)\s*(?:=|\s(?=-?\d))\s*(?=[-+]?[\d.])")
_CODE = re.compile(
    r"python3?|py|bash|sh|shell|zsh|cmd|powershell|console|c|cpp|c\+\+|cuda|cu|java|js|ts|javascript|typescript|rust|go"
    r"|sql|diff|patch|dockerfile|makefile|mermaid|dot|html|xml|latex|tex|asm|ptx|sass|mlir|llvm|hlo|tree",
    re.I,
)
_LABEL_LINE = re.compile(r"(?:\*\*|__)?([^*:_|]{3,60}?)(?:\*\*|__)?:(?:\*\*|__)?\s*$")
_BOLD_LINE = re.compile(r"\s*(?:\*\*|__)([^*]{2,80}?)(?:\*\*|__)\s*:?\s*$")
_REPORT_FIELD = re.compile(
    r"\s*[-*]?\s*\**(date|author|created|updated|last updated|version|domain|type|tags?|owner)\**\s*:", re.I
)
_LONGEST_NOTE = 600


@dataclass
class _Reader:
    path: str
    lines: list[str]
    shift: int = 0  # lines of the file before these
    facts: list[Fact] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    labels: list[tuple[int, str]] = field(default_factory=list)  # indentation and label of the bullets above
    lead: str = ""  # a line such as `What failed:` that the bullets below it belong to

    def number(self, at: int) -> int:
        return at + 1 + self.shift

    def place(self, indent: int = 10_000) -> Place:
        """What the line at hand belongs to: bullets above it, then headings."""
        above = [label for depth, label in self.labels if depth < indent]
        named = [title for level, title in self.headings if not part_of(title) and level > 1]
        section = next((part for _, title in reversed(self.headings) if (part := part_of(title))), "")
        heading = self.lead or (self.headings[-1][1] if self.headings else "")
        lead = part_of(self.lead) or section
        run = above[-1] if above else (named[-1] if named else "")
        return Place(self.path, run, " / ".join([*above[:-1]]) or heading, lead)


def read_markdown_report(path: str, text_lines: list[str], document: Document, shift: int = 0) -> None:
    """Add the facts and notes of Markdown lines to a document."""
    reader = _Reader(path, text_lines, shift)
    at = _front_matter(reader)
    while at < len(text_lines):
        at = _block(reader, at)
    document.facts += reader.facts
    document.notes += reader.notes


def _block(reader: _Reader, at: int) -> int:
    """Read what begins at a line; gives the line after it."""
    line = reader.lines[at]
    stripped = line.strip()
    if not stripped:
        return at + 1
    first = stripped[0]
    if line[0] in "|`~<":
        reader.labels = []  # a block at the margin ends the list above it
    if first in "`~>-*+0123456789" and (match := _FENCE.match(line)):
        return _fence(reader, at, match)
    if first == "#" and (heading := _HEADING.match(line)):
        _enter(reader, len(heading[1]), heading[2])
        _line(reader, at, line)
        return at + 1
    if "|" in line and at + 1 < len(reader.lines) and _is_rule(reader.lines[at + 1]):
        return _pipe_table(reader, at)
    if first == "<" and "<table" in line.casefold():
        return _html(reader, at)
    if stripped.startswith("<!--") and "-->" not in line:
        return _after(reader, at, "-->")
    following = reader.lines[at + 1] if at + 1 < len(reader.lines) else ""
    if (
        following
        and _UNDERLINE.match(following)
        and len(following.strip()) >= 3
        and not _ITEM.match(line)
        and "|" not in line
    ):
        _enter(reader, 1 if following.strip()[0] == "=" else 2, stripped)
        _line(reader, at, line)
        return at + 2
    _line(reader, at, line)
    return at + 1


def _after(reader: _Reader, at: int, mark: str) -> int:
    return next((end + 1 for end in range(at, len(reader.lines)) if mark in reader.lines[end]), len(reader.lines))


def _is_rule(line: str) -> bool:
    return (
        "-" in line
        and ("|" in line or ":" in line)
        and bool(_RULE.match(line.strip().removeprefix(">").strip().removeprefix("|")))
    )


def _enter(reader: _Reader, level: int, title: str) -> None:
    while reader.headings and reader.headings[-1][0] >= level:
        reader.headings.pop()
    reader.headings.append((level, plain_text(title)))
    reader.labels, reader.lead = [], ""


def _front_matter(reader: _Reader) -> int:
    lines = reader.lines
    if reader.shift or not lines or lines[0].removeprefix("\ufeff").strip() != "---":
        return 0
    end = next((at for at in range(1, min(len(lines), 400)) if lines[at].strip() in ("---", "...")), None)
    if end is None:
        return 0
    found = facts_of_yaml(
        "\n".join(lines[1:end]), Place(reader.path, "", "front matter", PARAMETERS), 2, "front matter"
    )
    reader.facts += found or []
    return end + 1 if found is not None else 0


def _fence(reader: _Reader, at: int, match: re.Match[str]) -> int:
    """A fenced block: data is read as such, plain output line by line, code only for its settings."""
    mark, language = match[1], match[2].casefold()
    inner = at + 1
    closing = re.compile(rf"[\s>]*{re.escape(mark[0])}{{{len(mark)},}}\s*$")
    end = next((n for n in range(inner, len(reader.lines)) if closing.match(reader.lines[n])), len(reader.lines))
    block = reader.lines[inner:end]
    place, first = reader.place(), reader.number(inner)
    found: list[Fact] | None = None
    if language in ("json", "jsonl", "json5", "jsonc"):
        found = facts_of_json("\n".join(block), place, first, "json block")
    elif language in ("yaml", "yml"):
        found = facts_of_yaml("\n".join(block), place, first, "yaml block")
    elif language in ("toml", "ini", "cfg", "conf", "properties"):
        found = facts_of_toml(block, place, first, "toml block")
    elif _CODE.fullmatch(language):
        found = [fact for n, line in enumerate(block) for fact in _code_facts(line, first + n, place)]
    if found is None:
        found = _plain_block(block, place, first)
    reader.facts += found
    return end + 1


def _plain_block(block: list[str], place: Place, first: int) -> list[Fact]:
    """A block without a language: JSON when it begins like it, a table when it has one, else lines."""
    text = "\n".join(block).strip()
    if text[:1] in "{[" and text[-1:] in "}]" and '"' in text:
        return facts_of_json("\n".join(block), place, first, "json block")
    inner = _Reader(place.path, block, first - 1)
    inner.headings = [(2, place.group)] if place.group else []
    at = 0
    while at < len(block):
        if "|" in block[at] and at + 1 < len(block) and _is_rule(block[at + 1]):
            at = _pipe_table(inner, at)
        else:
            inner.facts += facts_of_line(block[at], first + at, place, "log block")
            at += 1
    return inner.facts


def _code_facts(line: str, number: int, place: Place) -> Iterator[Fact]:
    """Settings in code: `name = 3`, `name=3`, `--name 3`; other numbers of code measure nothing."""
    if not any(map(str.isdigit, line)):
        return
    found = quantities(line)
    for match in _ASSIGNMENT.finditer(line):
        for quantity in found:
            if quantity.start == match.end():
                where = Place(place.path, place.run, place.group, PARAMETERS)
                yield fact_of(quantity, number, where, match[1].lstrip("-"), "code")


def _pipe_table(reader: _Reader, at: int) -> int:
    """A table with a rule below its header, until a line without a pipe."""
    place = reader.place()
    header = _cells(reader, at)
    end = at + 2
    rows = []
    while end < len(reader.lines) and "|" in reader.lines[end] and reader.lines[end].strip():
        if end > at + 2 and end + 1 < len(reader.lines) and _is_rule(reader.lines[end + 1]):
            break  # the header of the next table
        if not _is_rule(reader.lines[end]):
            rows.append(_cells(reader, end))
        end += 1
    table = Table(header, rows, reader.headings[-1][1] if reader.headings else "")
    reader.facts += facts_of_table(table, place)
    _table_notes(reader, table, place)
    return end


def _cells(reader: _Reader, at: int) -> list[Cell]:
    line = reader.lines[at].strip().lstrip("> ")
    parts = _CELL.split(line)
    if parts and not parts[0].strip():
        parts = parts[1:]
    if parts and not parts[-1].strip() and line.rstrip().endswith("|"):
        parts = parts[:-1]
    return [Cell(part.strip(), reader.number(at)) for part in parts]


def _table_notes(reader: _Reader, table: Table, place: Place) -> None:
    """Rows of tables about failures or findings are notes: `What Failed | Why | Lesson`, `Previous | Actual`."""
    head = [plain_text(cell.text) for cell in table.header]
    part = "correction" if len(head) > 1 and re.match(r"previous|old|earlier|prior|claim", head[0], re.I) and re.search(
        r"actual|new|correct|now|finding", " ".join(head[1:]), re.I) else ""  # fmt: skip
    part = part or (part_of(head[0]) if head else "")
    if part not in ("failed", "correction", "worked", "finding"):
        return
    for row in table.rows:
        cells = [plain_text(cell.text) for cell in row]
        if cells and cells[0] and not cells[0].startswith("("):
            reader.notes.append(Note(reader.path, row[0].line, part, cells[0][:_LONGEST_NOTE], place.group,
                                     " — ".join(each for each in cells[1:] if each)[:_LONGEST_NOTE]))  # fmt: skip


def _html(reader: _Reader, at: int) -> int:
    end = next((n for n in range(at, len(reader.lines)) if "</table" in reader.lines[n].casefold()), None)
    stop = len(reader.lines) if end is None else end + 1
    place = reader.place()
    for table in html_tables("\n".join(reader.lines[at:stop]), reader.number(at)):
        reader.facts += facts_of_table(table, place, "html table")
    return stop


def _line(reader: _Reader, at: int, line: str) -> None:
    """A bullet, a heading or prose: its facts, its note, and the label that nested bullets belong to."""
    item = _ITEM.match(line)
    indent = len(item[1].expandtabs(4)) if item else 0
    if item:
        while reader.labels and reader.labels[-1][0] >= indent:
            reader.labels.pop()
    elif line[:1].strip():
        reader.labels = []
        lead = _LABEL_LINE.match(line) or _BOLD_LINE.match(line)
        reader.lead = plain_text(lead[1]) if lead else ("" if not reader.lead or line[:1] in "#" else reader.lead)
    place = reader.place(indent if item else 10_000)
    if any(map(str.isdigit, line)) and not _REPORT_FIELD.match(line):
        reader.facts += facts_of_line(line, reader.number(at), place, "bullet" if item else "prose")
    if item:
        label = label_of(line)
        if label or line.rstrip().endswith(":"):
            reader.labels.append((indent, label or plain_text(line[item.end() :])))
    _note(reader, at, line, item, place)


def _note(reader: _Reader, at: int, line: str, item: re.Match[str] | None, place: Place) -> None:
    """Bullets and sentences below a heading that means one of the parts."""
    text = line[item.end() :].strip() if item else line.strip()
    if not place.section or line.lstrip().startswith("#") or len(text) < 4 or _LABEL_LINE.match(line):
        return
    previous = reader.notes[-1] if reader.notes else None
    if not item and previous and previous.line == reader.number(at) - 1 and previous.part == place.section:
        joined = f"{previous.text} {text}"[:_LONGEST_NOTE]  # a wrapped line goes on with the note above
        reader.notes[-1] = Note(previous.path, previous.line, previous.part, joined, previous.heading)
        return
    heading = reader.headings[-1][1] if reader.headings else ""
    reader.notes.append(Note(reader.path, reader.number(at), place.section, text[:_LONGEST_NOTE], heading))
