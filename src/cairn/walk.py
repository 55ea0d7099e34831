"""Walk through folders that somebody else has filled: no recursion, no end of patience, no link followed.

`os.walk` calls itself for each level, so a few hundred folders in folders end Python; and what cannot be read, or has
a name that is too long to say, is an error only to those who ask for more.
"""

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

MOST_DEPTH = 100  # no source tree and no log is deeper


def entries_below(
    root: Path, *, skip: Collection[str] = (), depth: int = MOST_DEPTH
) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder, folders before what is in them; what cannot be listed has nothing in it.

    Args:
        skip: names of folders that are not entered, and not given.
        depth: so many levels are entered; what is deeper is not seen.
    """
    folders = [(os.fspath(root), depth)]
    while folders:
        inside, left = folders.pop()
        with contextlib.suppress(OSError), os.scandir(inside) as found:
            for entry in found:
                is_folder = is_plain_folder(entry)
                if is_folder and entry.name in skip:
                    continue
                yield entry
                if is_folder and left > 1:
                    folders.append((entry.path, left - 1))


def is_plain_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder and no link to one; False when nobody can say."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
