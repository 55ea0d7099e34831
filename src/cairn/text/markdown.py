"""Markdown as lines with known places: which lines are headings, list items, paragraphs, fences.

A CommonMark parser decides what a line *is* (a `#` line inside a fence is no heading); the text itself stays as
it was read, so that an editor can put lines in and give every other byte back unchanged. Byte-order mark, CRLF
and a missing last newline survive.
"""

import functools
import itertools
import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_BOM = "\ufeff"


@dataclass(frozen=True)
class Heading:
    """A heading outside lists and quotes; `line` is 0-based, `text` is raw (inline markup kept)."""

    line: int
    end_line: int
    level: int
    text: str
    underlined: bool


@dataclass(frozen=True)
class Block:
    """A top-level block, or an item of a top-level list: 0-based first line, line after the last."""

    kind: str  # item, paragraph, fence, html, other
    line: int
    end_line: int


@dataclass(frozen=True)
class Markdown:
    """A text cut into lines (endings kept) and what the lines are."""

    text: str
    lines: tuple[str, ...]
    headings: tuple[Heading, ...]
    blocks: tuple[Block, ...]

    @property
    def newline(self) -> str:
        """The line ending most lines have; a line feed when there is no line."""
        endings = [ending_of(line) for line in self.lines]
        return max(("\n", "\r\n", "\r"), key=endings.count)

    @functools.cached_property
    def offsets(self) -> tuple[int, ...]:
        """Byte offset of each line's start in UTF-8, and of the end of the text."""
        total, offsets = 0, [0]
        for line in self.lines:
            total += len(line.encode())
            offsets.append(total)
        return tuple(offsets)

    @property
    def open_fence(self) -> int | None:
        """0-based line of a code fence that never closes and so swallows the rest of the text."""
        last = next((block for block in reversed(self.blocks) if block.kind == "fence"), None)
        if last is None or last.end_line < len(self.lines):
            return None
        mark = re.match(r"\ufeff? {0,3}(`{3,}|~{3,})", self.lines[last.line])
        end = self.lines[last.end_line - 1].strip()
        closed = mark and last.end_line - 1 > last.line and set(end) == {mark[1][0]} and len(end) >= len(mark[1])
        return None if closed or mark is None else last.line


def ending_of(line: str) -> str:
    """The line ending of a line, empty for an unfinished last one."""
    return line[len(line.rstrip("\r\n")) :]


def read_markdown(text: str) -> Markdown:
    """Parse a text; joining `lines` gives exactly the text again."""
    tokens = _parser().parse(text.removeprefix(_BOM))
    return Markdown(
        text=text,
        lines=tuple(_LINE.findall(text)),
        headings=tuple(_headings(tokens)),
        blocks=tuple(_blocks(tokens)),
    )


@functools.cache
def _parser() -> MarkdownIt:
    # Reference definitions would swallow a paragraph that begins with `[F001]:`; inline markup is not looked at.
    return MarkdownIt("commonmark").disable(["reference", "inline"])


def _headings(tokens: list[Token]) -> list[Heading]:
    found = []
    for token, content in itertools.pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            line, end_line = token.map
            underlined = not token.markup.startswith("#")
            found.append(Heading(line, end_line, int(token.tag[1:]), content.content, underlined))
    return found


_KINDS = {"list_item_open": "item", "paragraph_open": "paragraph", "fence": "fence", "html_block": "html"}


def _blocks(tokens: list[Token]) -> list[Block]:
    found = []
    for token in tokens:
        wanted_level = 1 if token.type == "list_item_open" else 0
        if token.map and token.level == wanted_level and not token.type.endswith("_list_open"):
            line, end_line = token.map
            found.append(Block(_KINDS.get(token.type, "other"), line, end_line))
    return found
