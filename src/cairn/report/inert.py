"""Text of strangers made harmless and bounded before anything is drawn from it.

Agents, kernels and compilers write what a report shows. Escaping for HTML is the business of the template engine; this
deals with what escaping lets through: terminal sequences, control characters, marks that turn the direction of
writing so that code reads differently from what it is, half characters, and lines too long for any reader.
"""

import re
from typing import Any, TypeVar

import msgspec

LINE_CHARS = 2_000
TEXT_CHARS = 200_000

_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # titles, links and other strings
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
# left out of the table: tab and line feed
_INVISIBLE = [
    *(c for c in range(0x20) if c not in (0x09, 0x0A)),
    *range(0x7F, 0xA0),
    0x061C,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
]
_SHOWN = {code: f"⟨U+{code:04X}⟩" for code in _INVISIBLE} | {code: "\ufffd" for code in range(0xD800, 0xE000)}
_SUSPECT = re.compile("[" + "".join(map(re.escape, map(chr, _INVISIBLE))) + "\ud800-\udfff]")
T = TypeVar("T")


def inert(text: str, limit: int = TEXT_CHARS) -> str:
    """The same text with nothing in it that acts: what was invisible is shown by its number, long lines are cut."""
    if len(text) > limit:
        text = f"{text[:limit]}\n[{len(text) - limit} more characters]"
    if "\x1b" in text:
        text = _TERMINAL.sub("", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _SUSPECT.search(text):
        text = text.translate(_SHOWN)
    if len(text) > LINE_CHARS and any(len(line) > LINE_CHARS for line in text.split("\n")):
        text = "\n".join(_cut(line) for line in text.split("\n"))
    return text


def inert_row(row: T) -> T:
    """A row, and all rows in it, with every text made inert."""
    plain = msgspec.to_builtins(row)
    return msgspec.convert(_walk(plain), type(row))


def one_line(text: str, limit: int = 300) -> str:
    """Inert text as a single line of bounded length."""
    flat = " ".join(inert(text, 8 * limit).split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def _cut(line: str) -> str:
    if len(line) <= LINE_CHARS:
        return line
    return f"{line[:LINE_CHARS]} [{len(line) - LINE_CHARS} more characters]"


def _walk(value: Any) -> Any:
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, dict):
        return {inert(key, LINE_CHARS): _walk(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_walk(each) for each in value]
    return value
