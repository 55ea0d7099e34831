"""Put lines into a parsed file and take lines out; every other byte stays as it was."""

import re
from collections.abc import Collection, Sequence

from cairn.errors import BadInput
from cairn.learnings.model import Document, Entry
from cairn.learnings.parse import parse
from cairn.text.markdown import ending_of


def insert_apart(document: Document, at: int, lines: Sequence[str]) -> str:
    """Put lines before line `at` (0-based), with one blank line on either side."""
    markdown = document.markdown
    above = markdown.lines[at - 1].strip() if at else ""
    below = markdown.lines[at].strip() if at < len(markdown.lines) else ""
    block = [*([""] if above else []), *lines, *([""] if below else [])]
    return insert(document, at, block)


def insert(document: Document, at: int, lines: Sequence[str]) -> str:
    """Put lines before line `at` (0-based), in the line endings most lines of the file have."""
    markdown = document.markdown
    newline = markdown.newline
    before, after = "".join(markdown.lines[:at]), "".join(markdown.lines[at:])
    if at == 0 and after.startswith("\ufeff"):  # a byte-order mark stays the first thing in the file
        before, after = "\ufeff", after[1:]
    text = "".join(line + newline for line in lines)
    if before.strip("\ufeff") and not before.endswith(("\n", "\r")):
        text = newline + text
    # a lone carriage return of the file must not become half of an inserted CRLF, nor the other way round
    text = "\r" + text if before.endswith("\r") and text.startswith("\n") else text
    text = text + "\n" if text.endswith("\r") and after.startswith("\n") else text
    return before + text + after


def append_to_entry(text: str, entry_index: int, lines: Sequence[str]) -> str:
    """Put field lines at the end of one entry; `entry_index` counts the entries of the file.

    Raises:
        BadInput: an open fence or comment would swallow the lines.
    """
    document = parse(text)
    entry = document.entries[entry_index]
    for block in (list(lines), ["", *lines]):  # the blank line ends what would otherwise swallow them
        after = insert(document, entry.span.last, block)
        if _grew_by_fields(document, parse(after), entry_index, len(lines)):
            return after
    raise BadInput(
        f"a line added to {entry.id} would not be read back",
        line=entry.span.last,
        hint="close the code fence or HTML comment at the end of that entry",
    )


def _grew_by_fields(before: Document, after: Document, index: int, lines: int) -> bool:
    """Whether one entry gained a field for each line that begins one, and nothing else changed."""
    if len(before.entries) != len(after.entries):
        return False
    old, new = before.entries[index], after.entries[index]
    gained = len(new.fields) - len(old.fields)
    others = all(
        content(one) == content(other)
        for at, (one, other) in enumerate(zip(before.entries, after.entries, strict=True))
        if at != index
    )
    return others and 0 < gained <= lines and content(new)[1].startswith(content(old)[1])


def replace_line(document: Document, line: int, text: str) -> str:
    """Exchange one line (0-based), keeping its ending."""
    lines = list(document.markdown.lines)
    lines[line] = text + ending_of(lines[line])
    return "".join(lines)


def without_entries(document: Document, indices: Collection[int]) -> str:
    """The text without some entries and the blank lines after each."""
    lines = document.markdown.lines
    gone: set[int] = set()
    for index in indices:
        span = document.entries[index].span
        end = span.last
        while end < len(lines) and not lines[end].strip():
            end += 1
        gone.update(range(span.first - 1, end))
    mark = "\ufeff" if 0 in gone and document.markdown.text.startswith("\ufeff") else ""
    return mark + "".join(line for at, line in enumerate(lines) if at not in gone)


def content(entry: Entry) -> tuple[str, str]:
    """What an entry says, without the blank lines around it."""
    return entry.id, entry.text.rstrip()


def field_lines(label: str, value: str) -> list[str]:
    """One list item; further lines are indented, so that no line of a value can end the item or the entry."""
    first, *rest = value.strip().splitlines() or [""]
    return [f"- **{label}**: {first}", *(f"  {line}".rstrip() for line in rest)]


def lines_of(text: str) -> list[str]:
    """The lines of a text as Markdown counts them: a form feed or U+2028 ends none."""
    return re.split(r"\r\n|\r|\n", text)
