"""Files that must survive a kill: append-only JSON lines, and whole files replaced in one step.

Receipts and ledgers are journals. A line is written with flush and fsync, so what the caller announced is on
disk before it acts. A process killed in the middle of a write leaves a torn last line; it was never announced
as done, so the reader drops it and says so, and the next writer cuts it off.
"""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.errors import BadInput

_MOST_TORN = 16 * 2**20


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
        line = _line(record)
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


class SoleJournal(Journal):
    """A journal of one writer, which has every line in memory: what somebody else changes is put back.

    Attributes:
        records: every record, oldest first.
        torn: the torn last line that was found when it was opened.

    Raises:
        As `Journal.read`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.records, self.torn = (read := self.read()).records, read.torn
        self._left: tuple[int, int, int] | None = None

    def read_on(self, known: list[dict[str, Any]], offset: int) -> int:
        """Make `known` what this writer knows, whatever the file says."""
        known[:] = self.records
        return offset

    def append(self, record: dict[str, Any]) -> None:
        """As `Journal.append`, after `repair`."""
        self.repair()
        super().append(record)
        self.records.append(record)
        self._left = self._stamp()

    def repair(self) -> str:
        """Put the lines back when the file is not what this writer left.

        What was found is kept beside it: its name is given back, or `nothing`, or an empty text when all was well.
        """
        if self._left is None or (stamp := self._stamp()) == self._left:
            return ""
        text = b"".join(_line(record) for record in self.records)
        if stamp is not None and len(text) <= stamp[0] < len(text) + _MOST_TORN:
            there = self.path.read_bytes()
            if there.startswith(text) and b"\n" not in there[len(text) :]:
                return ""  # touched only, or torn by a disk that was full; `append` cuts that off
        found = f"{self.path.name}.found-{time.time_ns()}" if os.path.lexists(self.path) else "nothing"
        with replacing(self.path) as temporary:
            temporary.write_bytes(text)  # first, so that a full disk takes nothing away
            if found != "nothing":
                self._set_aside(self.path.with_name(found))
        self._left = self._stamp()
        return found

    def _set_aside(self, place: Path) -> None:
        """Keep what is there under another name; a file keeps its own until it is replaced."""
        try:
            os.link(self.path, place, follow_symlinks=False)
        except OSError:  # a folder, or a file system without such links
            self.path.rename(place)

    def _stamp(self) -> tuple[int, int, int] | None:
        """What changes whenever somebody writes; None when there is no plain file."""
        if self.path.is_symlink() or not self.path.is_file():
            return None
        state = self.path.stat()
        return state.st_size, state.st_ino, state.st_ctime_ns


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes its own JSON escape


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
