"""What a run keeps on disk: bounded, so that a climb of weeks does not fill it, and never followed out of its folder.

An agent may write into the folder of its attempt. Links, pipes and sockets in it go; large files keep their beginning
and their end; and of many files the newest and largest go first.
"""

import os
import stat
from pathlib import Path

MOST_FILE_BYTES = 8 * 2**20
MOST_ATTEMPT_BYTES = 32 * 2**20
_MOST_FILES = 400
_CUT = b"\n[... cut here by cairn ...]\n"


def bound_attempt(folder: Path) -> None:
    """Leave only plain files of bounded size and number in a folder."""
    kept: list[tuple[int, Path]] = []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        for name in [each for each in folders if (here / each).is_symlink()]:
            (here / name).unlink(missing_ok=True)
            folders.remove(name)
        for name in names:
            path = here / name
            state = path.lstat()
            if not stat.S_ISREG(state.st_mode):
                path.unlink(missing_ok=True)
            else:
                kept.append((_cut(path, state.st_size), path))
    total = 0
    for at, (size, path) in enumerate(sorted(kept)):
        total += size
        if total > MOST_ATTEMPT_BYTES or at >= _MOST_FILES:
            path.unlink(missing_ok=True)


def _cut(path: Path, size: int) -> int:
    """Keep an eighth of the bound from the beginning of a large file, and the rest from its end."""
    if size <= MOST_FILE_BYTES:
        return size
    head = MOST_FILE_BYTES // 8
    tail = MOST_FILE_BYTES - head - len(_CUT)
    with path.open("r+b") as file:
        file.seek(size - tail)
        end = file.read(tail)
        file.seek(head)
        file.write(_CUT + end)
        file.truncate()
    return MOST_FILE_BYTES
