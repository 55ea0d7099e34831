"""Read AGENT.md without losing anything: whatever a file holds, it comes back byte for byte.

Real files follow the specified form loosely or not at all, so an entry is any heading that begins with an id, and
a field is any labelled list item or paragraph below it.
"""

import re
import textwrap
from pathlib import Path

from cairn.errors import BadInput
from cairn.learnings.identity import FAILURE, SUCCESS, HeadingId, parse_heading
from cairn.learnings.model import SECTION_TITLES, Document, Entry, Field, Section, Span
from cairn.text.markdown import Heading, Markdown, read_markdown

_ITEM_MARK = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s+")
_BOLD = re.compile(r"(?:\*\*|__)([^*_\n]+?)\s*(?::(?:\*\*|__)\s*:?|(?:\*\*|__)\s*:)\s*(.*)", re.DOTALL)
_PLAIN = re.compile(r"([A-Z][\w'/()-]*(?: [\w'/()-]+){0,4}):(?:\s+(.*))?", re.DOTALL)
_SECTION_WORDS = {FAILURE: "failure", SUCCESS: "success"}
_TITLES = {title.casefold(): kind for kind, title in SECTION_TITLES.items()}


def read_text(path: Path) -> str:
    """Read a file's text with its line endings and byte-order mark.

    Raises:
        BadInput: it is not UTF-8; editing it would damage what cannot be read.
    """
    data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput("not UTF-8 text", path=path, line=line, hint="convert the file to UTF-8") from error


def parse(text: str) -> Document:
    """Parse a text; never fails, and `Document.markdown.text` is the text itself."""
    markdown = read_markdown(text)
    marked = [(heading, _entry_heading(heading)) for heading in markdown.headings]
    marked = [pair for pair in marked if pair[1] or _is_section(pair[0])]
    sections: list[Section] = []
    entries: list[Entry] = []
    above: list[Section] = []  # the headings that the current line stands below
    entry_level: int | None = None
    for at, (heading, named) in enumerate(marked):
        if named:
            entry_level = heading.level
            section = _section_of(heading.level, above)
            entries.append(_entry(markdown, marked, at, section))
        elif entry_level is None or heading.level <= entry_level:
            entry_level = None
            above = [section for section in above if section.level < heading.level]
            above.append(_section(markdown, marked, at))
            sections.append(above[-1])
    return Document(markdown, tuple(sections), tuple(entries))


def _entry_heading(heading: Heading) -> HeadingId | None:
    return None if "\n" in heading.text else parse_heading(heading.text)


def _is_section(heading: Heading) -> bool:
    """An underlined heading counts only under the specified titles: `---` below a field is meant as a rule."""
    return not heading.underlined or heading.text.strip().casefold() in _TITLES


def _kind_of_section(heading: Heading) -> str | None:
    """Which series a heading announces; other words than the specified ones count below the top level only."""
    words = heading.text.strip("*_ :").casefold()
    if words in _TITLES:
        return _TITLES[words]
    kinds = [kind for kind, word in _SECTION_WORDS.items() if word in words]
    return kinds[0] if len(kinds) == 1 and heading.level > 1 else None


def _section_of(level: int, above: list[Section]) -> Section | None:
    """The nearest heading above; one of the same level counts if it names a series (flat files)."""
    fitting = [section for section in above if section.level < level or (section.kind and section.level == level)]
    return fitting[-1] if fitting else None


_Marked = list[tuple[Heading, HeadingId | None]]


def _section(markdown: Markdown, marked: _Marked, at: int) -> Section:
    heading = marked[at][0]
    inside_level: int | None = None
    end = len(markdown.lines)
    for other, named in marked[at + 1 :]:
        if named:
            inside_level = other.level
        elif other.level <= heading.level and (inside_level is None or other.level <= inside_level):
            end = other.line
            break
    span = _span(markdown, heading.line, end)
    return Section(heading.text.strip(), heading.level, _kind_of_section(heading), span)


def _entry(markdown: Markdown, marked: _Marked, at: int, section: Section | None) -> Entry:
    heading, named = marked[at]
    assert named is not None
    following = (marked[later] for later in range(at + 1, len(marked)))
    ends = (other.line for other, also in following if also or other.level <= heading.level)
    end = next(ends, len(markdown.lines))
    return Entry(
        heading=named,
        level=heading.level,
        section=section,
        fields=_fields(markdown, heading.end_line, end),
        text="".join(markdown.lines[heading.line : end]),
        span=_span(markdown, heading.line, end),
    )


def _fields(markdown: Markdown, start: int, end: int) -> tuple[Field, ...]:
    found = sorted(_labels(markdown, start, end))
    stops = [line for line, _, _ in found] + [end]
    return tuple(_field(markdown, place, stop) for place, stop in zip(found, stops[1:], strict=True))


def _labels(markdown: Markdown, start: int, end: int) -> list[tuple[int, str, str]]:
    """Line, label and text after the label of every line that begins a field."""
    found = []
    for block in markdown.blocks_in(start, end):
        if block.kind == "item":
            content = _ITEM_MARK.sub("", markdown.lines[block.line], count=1).rstrip("\r\n")
            if match := _BOLD.fullmatch(content) or _PLAIN.fullmatch(content):
                found.append((block.line, match[1].strip(), match[2] or ""))
        elif block.kind == "paragraph":
            for line in range(block.line, block.end_line):
                if match := _BOLD.fullmatch(markdown.lines[line].strip()):
                    found.append((line, match[1].strip(), match[2]))
    return found


def _field(markdown: Markdown, place: tuple[int, str, str], end: int) -> Field:
    start, label, value = place
    if end == start + 1:
        return Field(label, value.strip(), _span(markdown, start, end))
    rest = textwrap.dedent("".join(line.rstrip("\r\n") + "\n" for line in markdown.lines[start + 1 : end]))
    return Field(label, f"{value}\n{rest}".strip(), _span(markdown, start, end))


def _span(markdown: Markdown, start: int, end: int) -> Span:
    """The lines from `start` up to `end` (0-based) without the blank lines at the end."""
    while end > start + 1 and not markdown.lines[end - 1].strip():
        end -= 1
    return Span(start + 1, end, markdown.offsets[start], markdown.offsets[end])
