"""The working folders of a climb: one pristine checkout for the judge, one of its own for each attempt.

Each is a private repository that borrows the user's objects: an agent may commit, stash, reset, switch branches or
set hooks in it, and nothing of that exists anywhere else. Nothing in it is believed either: what was changed is read
from the files, by names that follow no link, into the user's repository, byte for byte.

All of them lie in one folder of the run and are gone when the climb stops.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cairn.git import Git
from cairn.process import MARKER
from cairn.walk import entries_below, is_plain_folder

MOST_VARIANT_BYTES = 2 * 2**20
_MOST_COMPARED_BYTES = 64 * 2**20
_MOST_EXTRA, _MOST_WALKED, _MOST_TAMPERED = 100, 20_000, 20
# found once: a folder on PATH that an agent may write to could hold others later
_RM, _CHMOD = (shutil.which(name) or name for name in ("rm", "chmod"))
_NO_REPOSITORY = "gitdir: /dev/null/none\n"  # stops a git that looks upwards after `rm -rf .git`

Stamp = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Edit:
    """What an attempt's folder holds compared with its parent.

    `blob`: the variant's new content, None when it did not change or is no ordinary file. `tampered`: tracked
    files besides the variant that were changed or removed, and the variant when it was removed or replaced by
    something that is no file. `extra`: new files, which are left behind. `unusable`: why the variant cannot be read.
    """

    blob: str | None
    patch: str = ""
    tampered: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    unusable: str = ""


@dataclass(frozen=True)
class _Checkout:
    files: dict[str, tuple[str, str]]
    stamps: dict[str, Stamp | None]


class Worktrees:
    """Creates, reads and removes the working folders of one climb."""

    def __init__(self, git: Git, folder: Path) -> None:
        self._git = git
        self.folder = folder
        self._checkouts: dict[str, _Checkout] = {}

    def open(self, name: str, commit: str) -> Path:
        """A fresh checkout of a commit; one left over under the same name is removed first."""
        path = self.folder / name
        remove_tree(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / ".git").write_text(_NO_REPOSITORY, encoding="utf-8")
        self._git.private_copy(path, commit)
        files = self._git.tracked(commit)
        self._checkouts[name] = _Checkout(files, {each: _stamp(path / each) for each in files})
        return path

    def close(self, name: str) -> None:
        """Remove a folder and whatever still runs in it."""
        end_strays(self.folder / name)
        remove_tree(self.folder / name)
        self._checkouts.pop(name, None)

    def close_all(self) -> None:
        """Remove every folder of the climb, and linked worktrees that an earlier version left there."""
        if self.folder.exists():
            end_strays(self.folder)
            remove_tree(self.folder)
            self._git.run("worktree", "prune")
        self._checkouts.clear()

    def edit_of(self, name: str, parent: str, variant: str) -> Edit:
        """Read what was changed; commits, stashes and staging inside the folder do not matter."""
        root, checkout = self.folder / name, self._checkouts[name]
        # a file that differs costs a git process, and one is enough to reject: not all of thousands are named
        tampered = list(itertools.islice(self._tampered(root, checkout, variant), _MOST_TAMPERED))
        extra = _new_files(root, checkout.files)
        try:
            content = read_plain(root, variant, MOST_VARIANT_BYTES)
        except (OSError, ValueError) as error:
            return Edit(None, tampered=tampered, extra=extra, unusable=f"{variant}: {error}")
        if content is None:
            return Edit(None, tampered=[*tampered, variant], extra=extra)
        blob = self._git.store(content)
        if blob == checkout.files[variant][1] or self._same(root, variant, checkout.files[variant]):
            return Edit(None, tampered=tampered, extra=extra)
        patch = self._git.patch(parent, self._git.tree_with(parent, variant, blob), [variant])
        return Edit(blob, patch, tampered, extra)

    def _tampered(self, root: Path, checkout: _Checkout, variant: str) -> Iterator[str]:
        """Tracked files besides the variant that are not what they were."""
        for path, stamp in checkout.stamps.items():
            if (
                path != variant
                and _stamp(root / path) != stamp
                and not self._same(root, path, checkout.files[path])
            ):
                yield path

    def _same(self, root: Path, path: str, known: tuple[str, str]) -> bool:
        """Whether a file is what its commit says, although it was touched or written anew."""
        mode, blob = known
        try:
            if mode == "120000":
                return os.fsencode((root / path).readlink()) == self._git.read_blob(blob)
            content = read_plain(root, path, _MOST_COMPARED_BYTES)
        except (OSError, ValueError):
            return False
        if content is None:
            return False
        if _blob_id(content, blob) == blob:
            return True
        filtered = self._git.run("cat-file", "--filters", f"--path={path}", blob)
        return content == filtered.encode("utf-8", "surrogateescape")


def read_plain(root: Path, relative: str, most_bytes: int) -> bytes | None:
    """A plain file below a folder that somebody else may write to; None when it is none, or a link leads to it.

    Raises:
        ValueError: it is larger than `most_bytes`.
        OSError: it cannot be opened.
    """
    *folders, name = Path(relative).parts
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for each in folders:
            inner = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = inner
        inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link
            return None
        raise
    finally:
        os.close(handle)
    state = os.fstat(inner)
    if not stat.S_ISREG(state.st_mode):
        os.close(inner)
        return None
    with os.fdopen(inner, "rb") as file:
        if state.st_size > most_bytes:
            raise ValueError(f"{state.st_size} bytes, more than {most_bytes}")
        return file.read(most_bytes + 1)[:most_bytes]


def _blob_id(content: bytes, like: str) -> str:
    """The name that git gives a content, in the kind of hash that `like` is."""
    kind = hashlib.sha1 if len(like) == 40 else hashlib.sha256
    return kind(b"blob %d\0" % len(content) + content).hexdigest()


def _stamp(path: Path) -> Stamp | None:
    """What changes whenever a file is written; the change time cannot be set by whoever writes it."""
    try:
        state = path.lstat()
    except OSError:
        return None
    return (state.st_mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


def _new_files(root: Path, known: dict[str, tuple[str, str]]) -> list[str]:
    """Names of files that the commit does not have, bounded: nobody reads a million of them."""
    found: list[str] = []
    top = f"{root}{os.sep}"
    for entry in itertools.islice(entries_below(root, skip=(".git", "__pycache__")), _MOST_WALKED):
        if is_plain_folder(entry):
            continue
        relative = entry.path[len(top) :]
        if relative not in known and entry.name != ".git":
            found.append(relative)
        if len(found) >= _MOST_EXTRA:
            break
    return sorted(found)


def remove_tree(path: Path) -> None:
    """Remove a folder whatever is in it: no permissions, no end of files, links, sockets."""
    for make_way in (False, True):
        if not os.path.lexists(path):
            return
        if make_way:  # folders that their owner may not enter
            subprocess.run([_CHMOD, "-R", "u+rwx", "--", str(path)], stderr=subprocess.DEVNULL, check=False)
        subprocess.run([_RM, "-rf", "--", str(path)], stderr=subprocess.DEVNULL, check=False)


def end_strays(folder: Path) -> int:
    """End processes that cairn started and that still work inside a folder: what a killed launch left behind."""
    inside = str(folder.resolve()) + os.sep
    strays = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                process.pid != os.getpid()
                and (process.cwd() + os.sep).startswith(inside)
                and MARKER in process.environ()
            ):
                strays.append(process)
    for process in strays:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(strays, timeout=2)
    return len(strays)
