"""One fault that lint reports."""

from dataclasses import dataclass

Key = tuple[str, int | None, str]  # what makes two spellings one id: `EntryId.key`


@dataclass(frozen=True)
class Finding:
    """One fault: its code, the 1-based line, the ids it is about, and what to do in words."""

    code: str
    line: int
    ids: tuple[str, ...]
    message: str
