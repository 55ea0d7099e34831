"""The blocks of a Markdown text, and a quick way to them where a text is simple.

A file of learnings is nearly all headings, one-line list items and prose. A whole parser takes two thirds of the
time of every command for such lines, so those are told by their first characters; a stretch between two headings
that holds anything else is left to the parser. Both ways give the same blocks, which a test compares.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading outside lists and quotes; `line` is 0-based, `text` is raw (inline markup kept)."""

    line: int
    end_line: int
    level: int
    text: str
    underlined: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A top-level block, or an item of a top-level list: 0-based first line, line after the last."""

    kind: str  # item, paragraph, fence, html, other
    line: int
    end_line: int


Blocks = tuple[list[Heading], list[Block]]

_HEADING = re.compile(r"(#{1,6}) +([^\s#\\](?:[^\t\x0b\x0c]*[^\s#\\])?)")
_ITEM = re.compile(r"- (?:\*\*[A-Za-z]|[A-Za-z\"'(\[])[^\t]*")
_MORE = re.compile(r"  (?:\*\*[A-Za-z]|[A-Za-z\"'(\[])[^\t]*")  # goes on with the line above
_PROSE = re.compile(r"(?:\*\*[A-Za-z]|[A-Za-z\"'(\[])[^\t]*")
# what may reach over a heading: a fence, HTML, also behind the marks of lists and quotes
_REACHES = re.compile(r"(?m)^[ \t>*+\-0-9.)]*(?:```|~~~|<)")


def quick_blocks(lines: Sequence[str], parse: Callable[[str], Blocks]) -> Blocks | None:
    """The blocks of a text without fences and HTML; None for others. `parse` reads what is not simple.

    `lines` are without their endings; places in what `parse` gives are counted from the first line it gets.
    """
    text = "\n".join(lines)
    if _REACHES.search(text) or "\0" in text:
        return None
    headings: list[Heading] = []
    blocks: list[Block] = []
    for start, end in _stretches(lines):
        found = _simple(lines, start, end)
        if found is None:
            inner = parse("\n".join(lines[start:end]))
            found = (
                [Heading(h.line + start, h.end_line + start, h.level, h.text, h.underlined) for h in inner[0]],
                [Block(block.kind, block.line + start, block.end_line + start) for block in inner[1]],
            )
        headings += found[0]
        blocks += found[1]
    return headings, blocks


def _stretches(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """From one heading at the margin to the next: nothing else that is left here reaches over one."""
    start = 0
    for at, line in enumerate(lines):
        if at > start and line.startswith("#") and _HEADING.fullmatch(line):
            yield start, at
            start = at
    yield start, len(lines)


def _simple(lines: Sequence[str], start: int, end: int) -> Blocks | None:
    """One stretch, or None when a line is none of heading, item, its continuation, prose, blank."""
    headings: list[Heading] = []
    blocks: list[Block] = []
    is_open = ""  # what the next line may go on with: item, paragraph, or nothing
    for at in range(start, end):
        line = lines[at]
        if not line:
            is_open = ""
        elif _ITEM.fullmatch(line):
            blocks.append(Block("item", at, at + 1))
            is_open = "item"
        elif is_open and (_MORE.fullmatch(line) or _PROSE.fullmatch(line)):
            blocks[-1] = Block(is_open, blocks[-1].line, at + 1)
        elif _PROSE.fullmatch(line):
            blocks.append(Block("paragraph", at, at + 1))
            is_open = "paragraph"
        elif at == start and (match := _HEADING.fullmatch(line)):
            headings.append(Heading(at, at + 1, len(match[1]), match[2], False))
            blocks.append(Block("other", at, at + 1))
        else:
            return None
    return headings, blocks
