"""Temporary folders that do not outlive their process, however it ends.

All of them lie in one folder of the user, `$TMPDIR/cairn-UID`, and there each process has one of its own, on which it
holds a lock for as long as it lives. A process that leaves in order removes its folder. One that was killed leaves it
with a lock that nobody holds, and the next process that needs a folder removes it: the lock, and not a process number
or an age, says who is dead. A folder is locked before it gets the name that makes it one to look at.

Standard library only: it also travels to hosts that have nothing but Python (`far.py`).
"""

import atexit
import contextlib
import errno
import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_NEW, _OWN, _DEAD = "new-", "own-", "dead-"
_MAKING_S = 3600.0  # one that is not locked after so long was never finished
_ELSEWHERE = (errno.EROFS, errno.EACCES, errno.EPERM)
_guard = threading.Lock()
_mine: "tuple[int, Path] | None" = None


def new_folder(kind: str) -> Path:
    """A new folder, for its owner only; whoever asked removes it, and the end of the process does at the latest.

    Where the user's folder is somebody else's or may not be written (behind the fence of an agent), it is a plain
    temporary folder, and nobody looks after it.

    Raises:
        OSError: there is no room.
    """
    for again in (True, False):
        try:
            return Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=_own_folder(anew=not again)))
        except FileNotFoundError:  # somebody emptied the temporary folder
            if not again:
                raise
        except OSError as error:
            if error.errno not in _ELSEWHERE:
                raise
            break
    return Path(tempfile.mkdtemp(prefix=f"cairn-{kind}-"))


@contextlib.contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """A new folder for as long as the context lasts."""
    path = new_folder(kind)
    try:
        yield path
    finally:
        remove(path)


def home() -> Path:
    """The folder of all temporary folders of this user, made when it is not there.

    Raises:
        OSError: it cannot be made, or is not this user's.
    """
    path = Path(tempfile.gettempdir(), f"cairn-{os.geteuid()}")
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    state = path.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "not a folder of this user", str(path))
    if stat.S_IMODE(state.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def sweep() -> int:
    """Remove what killed processes left; how many had left something.

    Raises:
        OSError: as `home`.
    """
    base, count = home(), 0
    for path in sorted(base.iterdir()):
        if path.name.startswith(_DEAD):  # another one was killed while it did this
            remove(path)
        elif path.name.startswith((_OWN, _NEW)) and (dead := _buried(path)) is not None:
            remove(dead)
            count += 1
    return count


def remove(path: Path) -> None:
    """Remove a folder, also one nested deeper than Python can follow; what resists stays."""
    try:
        shutil.rmtree(path, ignore_errors=True)
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", str(path)], check=False, stderr=subprocess.DEVNULL)


def _own_folder(*, anew: bool) -> Path:
    """The folder of this process; a child that was forked gets another than its parent."""
    global _mine
    with _guard:
        if anew or _mine is None or _mine[0] != os.getpid():
            _mine = os.getpid(), _made()
        return _mine[1]


def _made() -> Path:
    sweep()
    path = Path(tempfile.mkdtemp(prefix=_NEW, dir=home()))
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # stays open: it holds the lock
    with contextlib.suppress(OSError):  # a file system without locks: nobody finds it free either
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    own = path.rename(path.with_name(path.name.replace(_NEW, _OWN, 1)))
    atexit.register(_leave, os.getpid(), own)
    return own


def _leave(pid: int, own: Path) -> None:
    if pid == os.getpid():  # not in a child that inherited this
        remove(own)


def _buried(path: Path) -> Path | None:
    """The folder under the name of a dead one, when nobody holds its lock; else None."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if path.name.startswith(_NEW) and time.time() - os.fstat(handle).st_mtime < _MAKING_S:
                return None
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return path.rename(path.with_name(_DEAD + path.name.partition("-")[2]))
        finally:
            os.close(handle)
    return None
