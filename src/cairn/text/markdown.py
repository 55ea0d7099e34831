"""Markdown as lines with known places: which lines are headings, list items, paragraphs, fences.

A CommonMark parser decides what a line *is* (a `#` line inside a fence is no heading); the text itself stays as
it was read, so that an editor can put lines in and give every other byte back unchanged. Byte-order mark, CRLF
and a missing last newline survive.
"""

import bisect
import functools
import itertools
import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from cairn.text.blocks import Block as Block
from cairn.text.blocks import Blocks, quick_blocks
from cairn.text.blocks import Heading as Heading

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_BOM = "\ufeff"


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

    def blocks_in(self, start: int, end: int) -> tuple[Block, ...]:
        """The blocks that begin in some lines."""
        first = bisect.bisect_left(self._block_lines, start)
        return self.blocks[first : bisect.bisect_left(self._block_lines, end)]

    @functools.cached_property
    def _block_lines(self) -> tuple[int, ...]:
        return tuple(block.line for block in self.blocks)

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
    lines = tuple(_LINE.findall(text))
    bare = [line.rstrip("\r\n") for line in lines]
    if bare:
        bare[0] = bare[0].removeprefix(_BOM)
    headings, blocks = quick_blocks(bare, parsed_blocks) or parsed_blocks(text.removeprefix(_BOM))
    return Markdown(text=text, lines=lines, headings=tuple(headings), blocks=tuple(blocks))


def parsed_blocks(text: str) -> Blocks:
    """What the CommonMark parser sees in a text without a byte-order mark."""
    tokens = _parser().parse(text)
    return _headings(tokens), _blocks(tokens)


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
