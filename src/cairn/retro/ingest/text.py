"""Bytes of a file as lines that a person would count the same way, whatever the encoding."""

import re

_LINE = re.compile(r"\r\n|\r|\n")
_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def decode(data: bytes) -> tuple[str, str | None]:
    """The text, and a warning when the encoding had to be guessed: UTF-8, else what its mark says, else Windows'."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace").removeprefix("\ufeff"), None
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "not UTF-8; read as Windows-1252"


def lines_of(text: str) -> list[str]:
    """Lines without their endings; `\\n`, `\\r\\n` and `\\r` end one, as Python's own files have it."""
    lines = _LINE.split(text)
    return lines if lines[-1] else lines[:-1]


def looks_binary(data: bytes) -> bool:
    """Whether this is no text: null bytes without a mark that explains them."""
    return b"\0" in data[:8192] and not any(data.startswith(mark) for mark, _ in _BOMS)
