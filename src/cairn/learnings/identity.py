"""Ids of learnings in every spelling that real files hold.

`[F001]`, `FP1`, `[FP16b-gmm]`, `SO11-gmm`, `[S001 / F004]`, `[F006 / CORRECTION]`, `[S-none-R1]`: the prefix gives
the type (F, FP: failure; S, SO: success), whatever section the entry stands in.
"""

import re
from dataclasses import dataclass

FAILURE, SUCCESS = "failure", "success"
KINDS = (FAILURE, SUCCESS)
_KIND_OF = {"F": FAILURE, "FP": FAILURE, "S": SUCCESS, "SO": SUCCESS}
SIBLING_PREFIX = {"F": "S", "S": "F", "FP": "SO", "SO": "FP"}

_NUMBERED = re.compile(r"(FP|SO|F|S)[- ]?(\d{1,6})([a-z]?(?:-[\w.]+)*)", re.IGNORECASE)
_NUMBERLESS = re.compile(r"(FP|SO|F|S)-([\w.]+(?:-[\w.]+)*)")
_USUAL = re.compile(r"(?:FP|SO|F|S)\d+[a-z]?(?:-[\w.]+)*")
_WRAP = r"[*_~`]*"
_BRACKETED = re.compile(rf"{_WRAP}\\?\[([^\[\]\\]+)\\?\]{_WRAP}\s*(?:[:–—-]\s*)?(.*)", re.DOTALL)
_BARE_ID = r"(?:FP|SO|F|S)\d+[a-z]?(?:-[A-Za-z][\w.]*)*"
_BARE = re.compile(
    rf"{_WRAP}({_BARE_ID}(?:\s*/\s*{_BARE_ID})*)(\s*[:–—.]|\s+-+(?=\s))?{_WRAP}(?:\s+(.*))?", re.DOTALL
)
_MAYBE = re.compile(r"[FSPO]\d")
_CODE = re.compile(r"`[^`]*`")
_MENTION = re.compile(
    r"(?<![\w./-])(?:(?:FP|SO)\d+[a-z]?(?:-[A-Za-z]\w*)*|[FS]\d{3,4}[a-z]?(?:-[A-Za-z]\w*)*)(?![\w/])"
    r"|(?<=\[)[FS]\d+[a-z]?(?:-[A-Za-z]\w*)*(?=\])"
)


@dataclass(frozen=True)
class EntryId:
    """One id: `FP16b-gmm` has prefix FP, number 16 and suffix `b-gmm`; `S-none-R1` has no number."""

    raw: str
    prefix: str
    number: int | None
    suffix: str

    @property
    def kind(self) -> str:
        return _KIND_OF[self.prefix]

    @property
    def key(self) -> tuple[str, int | None, str]:
        """What makes two spellings the same id: `F1` and `F001` are one."""
        return (self.prefix, self.number, self.suffix.lower())

    @property
    def padded(self) -> bool:
        digits = re.search(r"\d+", self.raw)
        return bool(self.number is not None and digits and len(digits[0]) > len(str(self.number)))

    @property
    def looks_like_type(self) -> bool:
        """True for `FP8`, `FP16`, ...: in prose these are number formats more often than ids."""
        return self.prefix == "FP" and self.number in (4, 6, 8, 16, 32, 64)


@dataclass(frozen=True)
class HeadingId:
    """What a heading says: its ids (two when combined), other words beside them, and the title."""

    ids: tuple[EntryId, ...]
    notes: tuple[str, ...]
    bracketed: bool
    raw: str
    title: str

    @property
    def usual(self) -> bool:
        """One id, of the form prefix, number, optional letter and suffix."""
        return len(self.ids) == 1 and not self.notes and bool(_USUAL.fullmatch(self.raw))


def parse_id(text: str) -> EntryId | None:
    """Read one id, or None when the text is none."""
    text = text.strip()
    if match := _NUMBERED.fullmatch(text):
        return EntryId(text, match[1].upper(), int(match[2]), match[3])
    if match := _NUMBERLESS.fullmatch(text):
        return EntryId(text, match[1], None, match[2])
    return None


def parse_heading(text: str) -> HeadingId | None:
    """Read the id at the start of a heading's text; None for a heading that is no entry.

    A bare id needs a separator after it or three digits, so that `S3 buckets` and `FP8 scales` are no entries.
    """
    if match := _BRACKETED.fullmatch(text.strip()):
        return _heading_id(match[1].strip(), match[2], bracketed=True)
    match = _BARE.fullmatch(text.strip())
    if match and (match[2] or re.search(r"\d{3}", match[1])):
        return _heading_id(match[1], match[3] or "", bracketed=False)
    return None


def _heading_id(inside: str, title: str, *, bracketed: bool) -> HeadingId | None:
    pieces = [piece.strip() for piece in inside.split("/")]
    parsed = {piece: parse_id(piece) for piece in pieces}
    ids = tuple(found for found in parsed.values() if found)
    if not ids:
        return None
    notes = tuple(piece for piece, found in parsed.items() if found is None)
    return HeadingId(ids, notes, bracketed, inside, title.strip())


def mentions(text: str) -> list[EntryId]:
    """Ids that a text refers to, in order; code spans are not looked at (`F32` there is a type)."""
    return [name for _, name in placed_mentions(text)]


def placed_mentions(text: str) -> list[tuple[int, EntryId]]:
    """Each id that a text refers to with the place where it begins."""
    if not _MAYBE.search(text):
        return []
    prose = _CODE.sub(lambda match: "`" * len(match[0]), text) if "`" in text else text
    return [(match.start(), found) for match in _MENTION.finditer(prose) if (found := parse_id(match[0]))]


def rename_mentions(text: str, old: EntryId, new: str) -> str:
    """The text with every mention of one id replaced; `SO5-based` mentions SO5."""
    for at, name in reversed(placed_mentions(text)):
        raw = name.raw
        if name.key != old.key and (name.prefix, name.number, "") == old.key:
            raw = raw.removesuffix(name.suffix)
        elif name.key != old.key:
            continue
        text = text[:at] + new + text[at + len(raw) :]
    return text
