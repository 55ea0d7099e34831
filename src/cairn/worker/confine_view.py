"""Namespaces for a worker: no other process, no network, no other file than those an interpreter needs.

The view is a new root: an empty memory file system into which the named folders are bound, read-only, and a small
one of its own where the private folder was. What is not in the view has no name in it, so it cannot be read,
listed, changed, or (a socket) connected to.

What it does not hide: the clock, the number of cores, the load of the machine.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import linux  # type: ignore[import-not-found]

_SPACES = linux.NEWNS | linux.NEWPID | linux.NEWNET | linux.NEWIPC | linux.NEWUTS
_OLD = "/.old"
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_SCRATCH_FILES = 20_000


def enter_namespaces() -> None:
    """Give the children of this process namespaces of their own; this process stays visible to nobody in them.

    The user namespace comes first, because it is what gives an ordinary user the right to the others. It maps one
    user, the same: no right over anything outside follows from it.

    Raises:
        OSError: the kernel, or the sandbox around cairn, refuses.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.NEWUSER | _SPACES)
    except OSError:
        if user != 0:
            raise
        linux.unshare(_SPACES)  # root without user namespaces
        return
    _tell("/proc/self/setgroups", "deny")
    _tell("/proc/self/uid_map", f"{user} {user} 1")
    _tell("/proc/self/gid_map", f"{group} {group} 1")
    with contextlib.suppress(OSError):
        _tell("/proc/sys/user/max_user_namespaces", "0")  # counts in the new one only: no rights again inside it


def build_view(folder: str, readable: Sequence[str], scratch_bytes: int) -> None:
    """Exchange the root of this process' mount namespace; the working folder is `folder`, new and empty.

    All or nothing: when the kernel refuses a step, the namespace is as it was before.

    Raises:
        OSError: the kernel refuses.
    """
    sources = {path: os.path.realpath(path) for path in readable if Path(path).exists()}
    before = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.unshare(linux.NEWNS)
        try:
            _exchange_root(folder, sources, scratch_bytes)
        except OSError:
            linux.enter_mounts(before)
            os.chdir(folder)
            raise
    finally:
        os.close(before)


def _exchange_root(folder: str, sources: Mapping[str, str], scratch_bytes: int) -> None:
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("cairn", folder, "tmpfs", linux.MS_NOSUID, "mode=755,size=1m")
    Path(folder + _OLD).mkdir()
    linux.pivot_root(folder, folder + _OLD)
    os.chdir("/")
    for path in sorted(sources):  # a folder comes before what is in it
        if not any(path.startswith(shown + "/") for shown in sources):
            _show(path, _OLD + sources[path])
    for path in DEVICES:
        _show(path, _OLD + path)
    _mount_proc()
    Path(folder).mkdir(parents=True, exist_ok=True)
    linux.unmount(_OLD)
    Path(_OLD).rmdir()
    linux.set_mount_flags("/", linux.ATTR_RDONLY | linux.ATTR_NOSUID)
    options = f"mode=700,size={scratch_bytes},nr_inodes={_SCRATCH_FILES}"
    linux.mount("scratch", folder, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, options)
    os.chdir(folder)


def _show(path: str, source: str) -> None:
    """Bind a file or folder of the old root at its place in the new one."""
    if Path(source).is_dir():
        Path(path).mkdir(parents=True, exist_ok=True)
    else:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    linux.mount(source, path, None, linux.MS_BIND | linux.MS_REC)


def _mount_proc() -> None:
    """A /proc of the new process namespace, or the old one where that is forbidden.

    A container that hides parts of its own /proc forbids a fresh one, which would show them.
    """
    Path("/proc").mkdir()
    try:
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    except PermissionError:
        linux.mount(_OLD + "/proc", "/proc", None, linux.MS_BIND | linux.MS_REC)


def _tell(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
