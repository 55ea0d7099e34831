"""Results of the trusted compiler on disk, by content: the second question about a program is free.

The key is a digest of everything that decides the answer, so nothing is ever out of date, only unused; what was used
longest ago is dropped when the folder exceeds its bound. Several processes may share a folder: an entry appears whole
or not at all, carries a checksum, and one that does not fit it is dropped like one that was never there. A folder that
cannot be read or written is an empty cache, never an error.

What this does not protect against: somebody who may write to the folder can forge an entry. Variants are locked in
where the kernel can do it, and then cannot; at the isolation level `process` nothing stops them.
"""

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import UsageError

MAX_BYTES = 1024**3
_MAGIC = b"CRNC"
_DIGEST_BYTES = hashlib.sha256().digest_size
_EVICT_TO = 0.8  # so that a full cache is not tidied after every entry
_LOOK_EVERY = 16  # entries stored between two looks at the whole folder, on average and in any process
_LOOK_SHARE = 64  # and at once when this process alone stored that part of the bound
_STALE_S = 3600.0  # a half-written file this old belongs to a process that was killed
_SUFFIX = ".entry"


@dataclass(frozen=True)
class CacheUse:
    """How much a cache holds, in entries and bytes on disk."""

    entries: int
    bytes: int


@dataclass(frozen=True)
class _File:
    path: Path
    size_bytes: int
    used: float


class Cache:
    """A bounded store of bytes by key, a hexadecimal digest.

    Args:
        folder: made when something is stored; private to the user.
        max_bytes: bound of all entries together.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._unseen_bytes = 0

    def get(self, key: str) -> bytes | None:
        """What was stored under the key, None when nothing valid was."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        head = len(_MAGIC) + _DIGEST_BYTES
        content = data[head:]
        if data[:head] != _MAGIC + hashlib.sha256(content).digest():
            _drop(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Store under the key, and make room when the bound is exceeded."""
        if len(content) > self.max_bytes:
            return
        path = self._path(key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix="new-")
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(_MAGIC + hashlib.sha256(content).digest() + content)
                Path(name).replace(path)
            except OSError:
                _drop(Path(name))
                raise
            self._unseen_bytes += len(content)
            if int(key[:8], 16) % _LOOK_EVERY == 0 or self._unseen_bytes > self.max_bytes // _LOOK_SHARE:
                self._unseen_bytes = 0
                self._make_room()

    def drop(self, key: str) -> None:
        """Forget one entry, for instance because its content cannot be read any more."""
        _drop(self._path(key))

    def use(self) -> CacheUse:
        """Entries and bytes now."""
        files = list(self._files())
        return CacheUse(len(files), sum(file.size_bytes for file in files))

    def clear(self) -> CacheUse:
        """Remove every entry; what was there."""
        files = list(self._files(leftovers_too=True))
        for file in files:
            _drop(file.path)
        return CacheUse(len(files), sum(file.size_bytes for file in files))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _files(self, *, leftovers_too: bool = False) -> Iterator[_File]:
        """Entries; files that vanish meanwhile are not there."""
        for path in self.folder.glob("??/*"):
            if path.suffix != _SUFFIX and not (leftovers_too and path.name.startswith("new-")):
                continue
            with contextlib.suppress(OSError):
                status = path.stat()
                yield _File(path, status.st_size, status.st_mtime)

    def _make_room(self) -> None:
        """Drop what was used longest ago until the bound is kept; two processes at it at once do no harm."""
        files = sorted(self._files(leftovers_too=True), key=lambda file: file.used)
        held = sum(file.size_bytes for file in files)
        now, enough = time.time(), self.max_bytes * _EVICT_TO
        full = held > self.max_bytes
        for file in files:
            is_entry = file.path.suffix == _SUFFIX
            if (is_entry and full and held > enough) or (not is_entry and now - file.used > _STALE_S):
                _drop(file.path)
                held -= file.size_bytes


def default_cache() -> Cache | None:
    """The user's cache of compiles: `$CAIRN_CACHE`, else below `$XDG_CACHE_HOME` or `~/.cache`; None when it is `off`.

    `CAIRN_CACHE_MIB` is its bound in mebibytes.

    Raises:
        UsageError: `CAIRN_CACHE_MIB` is not a positive number.
    """
    chosen = os.environ.get("CAIRN_CACHE", "")
    if chosen.lower() in ("off", "0", "none"):
        return None
    base = Path(chosen) if chosen else _user_cache() / "cairn"
    return Cache(base.expanduser().absolute() / "compiles", _bound())


def _user_cache() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named) if Path(named).is_absolute() else Path.home() / ".cache"


def _bound() -> int:
    text = os.environ.get("CAIRN_CACHE_MIB", "")
    if not text:
        return MAX_BYTES
    if not text.isdecimal() or not int(text):
        raise UsageError(
            f"CAIRN_CACHE_MIB is `{text}`, not a number of mebibytes", hint="for example: CAIRN_CACHE_MIB=2048"
        )
    return int(text) * 2**20


def _drop(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
