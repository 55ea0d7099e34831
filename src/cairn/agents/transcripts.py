"""What a client printed, as files that somebody else may have removed, and that must not grow without bound."""

import shutil
from pathlib import Path

from cairn.journal import replacing

KEPT_BYTES = 8 * 1024 * 1024
_HEAD_BYTES = KEPT_BYTES // 8
_TAIL_BYTES = 8192


def read_lines(path: Path) -> list[str]:
    """All lines; none when the file is gone, because whoever may write to the folder may have removed it."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return list(file)
    except FileNotFoundError:
        return []


def read_tail(path: Path, size: int = _TAIL_BYTES) -> str:
    """The end of a file, as text; empty when it is not there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def keep_bounded(path: Path, limit: int = KEPT_BYTES) -> None:
    """Cut the middle out of a file that is larger than `limit` bytes, at line ends, and say so in its place."""
    if not path.exists() or path.stat().st_size <= limit:
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
