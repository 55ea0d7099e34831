"""What a run keeps on disk: bounded, so that a climb of weeks does not fill it, and never followed out of its folder.

An agent may write into the folder of its attempt. Links, pipes and sockets in it go; large files keep their beginning
and their end; and of many files the largest go first.
"""

import contextlib
import os
import stat
from pathlib import Path

from cairn.climb.worktrees import remove_tree
from cairn.walk import entries_below, is_plain_folder

MOST_FILE_BYTES = 8 * 2**20
MOST_ATTEMPT_BYTES = 32 * 2**20
_MOST_FILES, _MOST_FOLDERS, _MOST_DEPTH = 400, 100, 8
_CUT = b"\n[... cut here by cairn ...]\n"


def bound_attempt(folder: Path) -> None:
    """Leave only plain files of bounded size and number in a folder; folders in it go when nobody could read them."""
    entries = list(entries_below(folder, depth=_MOST_DEPTH))
    folders = [Path(entry.path) for entry in entries if is_plain_folder(entry)]
    if len(folders) > _MOST_FOLDERS or any(_useless(path, folder) for path in folders):
        for path in [path for path in folders if path.parent == folder]:
            remove_tree(path)
    kept: list[tuple[int, Path]] = []
    for entry in entries:
        path = Path(entry.path)
        with contextlib.suppress(OSError):  # it went with its folder
            state = path.lstat()
            if stat.S_ISREG(state.st_mode):
                kept.append((_cut(path, state.st_size), path))
            elif not stat.S_ISDIR(state.st_mode):
                path.unlink()
    total = 0
    for at, (size, path) in enumerate(sorted(kept)):
        total += size
        if total > MOST_ATTEMPT_BYTES or at >= _MOST_FILES:
            path.unlink(missing_ok=True)


def _useless(path: Path, folder: Path) -> bool:
    """Whether a folder is too deep to look into, or closed to its owner."""
    deep = len(path.relative_to(folder).parts) >= _MOST_DEPTH
    return deep or not os.access(path, os.R_OK | os.W_OK | os.X_OK)


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
