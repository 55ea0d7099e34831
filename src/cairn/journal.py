"""Files that must survive a kill: append-only JSON lines, and whole files replaced in one step.

Receipts and ledgers are journals. A line is written with flush and fsync, so what the caller announced is on
disk before it acts. A process killed in the middle of a write leaves a torn last line; it was never announced
as done, so the reader drops it and says so, and the next writer cuts it off.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.errors import BadInput


@dataclass(frozen=True)
class JournalRead:
    """What a journal holds: its records, and the bytes of a torn last line (empty when it ended well)."""

    records: list[dict[str, Any]]
    torn: bytes


class Journal:
    """One append-only JSON-lines file. The caller holds whatever lock the file needs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> JournalRead:
        """Read every complete record.

        Raises:
            BadInput: a line in the middle is not a JSON object (only the last line can be torn by a kill).
        """
        if not self.path.exists():
            return JournalRead([], b"")
        data = self.path.read_bytes()
        *lines, tail = data.split(b"\n")
        records = []
        for number, line in enumerate(lines, start=1):
            if line.strip():
                records.append(self._parse(line, number))
        return JournalRead(records, tail)

    def read_on(self, known: list[dict[str, Any]], offset: int) -> int:
        """Add to `known` what was written after `offset`; give the new offset. A file that shrank is read anew.

        So that a book of thousands of records is parsed once and not once for each question.

        Raises:
            As `read`.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < offset:
            known.clear()
            offset = 0
        if size == offset:
            return offset
        with self.path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        for line in complete.split(b"\n"):
            if line.strip():
                known.append(self._parse(line, len(known) + 1))
        return offset + len(complete)

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except ValueError as error:
            raise BadInput(
                f"not a JSON object: {error}",
                path=self.path,
                line=number,
                hint="restore the file from a copy; a journal is only ever appended to",
            ) from error
        if not isinstance(record, dict):
            raise BadInput(f"expected a JSON object, got {type(record).__name__}", path=self.path, line=number)
        return record

    def append(self, record: dict[str, Any]) -> None:
        """Write one record and wait until the disk has it; a torn last line is cut off first."""
        text = json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n"
        line = text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes its own JSON escape
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            self._cut_torn_tail(file.fileno())
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _cut_torn_tail(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        end = size
        while end and os.pread(descriptor, 1, end - 1) != b"\n":
            end = _previous_newline(descriptor, end)
        if end != size:
            os.ftruncate(descriptor, end)


def _previous_newline(descriptor: int, end: int) -> int:
    """Offset just after the last newline before `end`, or 0."""
    start = max(0, end - 65536)
    block = os.pread(descriptor, end - start, start)
    at = block.rfind(b"\n")
    return start + at + 1 if at >= 0 else start


def write_atomic(path: Path, text: str) -> None:
    """Replace a whole file in one step: readers see the old text or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file beside `path` to write; rename it over `path` on success, remove it on failure."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask()
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
