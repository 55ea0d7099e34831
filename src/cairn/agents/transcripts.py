"""What a client printed, as files that somebody else may have removed, and that must not grow without bound."""

import itertools
import shutil
import stat
from pathlib import Path

from cairn.journal import replacing

KEPT_BYTES = 8 * 1024 * 1024
_HEAD_BYTES = KEPT_BYTES // 8
_TAIL_BYTES = 8192
_MOST_LINES = 1_000_000


def is_plain(path: Path) -> bool:
    """Whether there is a file and no pipe, link or folder in its place: to open a pipe would hang."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def read_lines(path: Path) -> list[str]:
    """All lines; none when the file is gone, because whoever may write to the folder may have removed it."""
    if not is_plain(path):
        return []
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return list(itertools.islice(file, _MOST_LINES))
    except OSError:
        return []


def read_tail(path: Path, size: int = _TAIL_BYTES) -> str:
    """The end of a file, as text; empty when it is not there."""
    if not is_plain(path):
        return ""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read(size).decode(errors="replace")
    except OSError:
        return ""


def keep_bounded(path: Path, limit: int = KEPT_BYTES) -> None:
    """Cut the middle out of a file that is larger than `limit` bytes, at line ends, and say so in its place."""
    if not is_plain(path) or path.stat().st_size <= limit:
        return
    size = path.stat().st_size
    head_bytes = min(_HEAD_BYTES, limit // 8)
    with path.open("rb") as old, replacing(path) as temporary, temporary.open("wb") as new:
        head = old.read(head_bytes)
        head = head[: head.rfind(b"\n") + 1]
        old.seek(size - (limit - head_bytes))
        skipped = old.readline()
        cut = size - (limit - head_bytes) + len(skipped) - len(head)
        new.write(head + b'{"type": "cairn.cut", "bytes": %d}\n' % cut)
        shutil.copyfileobj(old, new)
