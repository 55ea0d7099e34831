"""The kernel's calls that Python has no function for: namespaces, mounts, capabilities. Standard library only.

Every function raises `OSError` when the kernel refuses, so that a caller can fall back. Numbers are those of the
kernel's user-space headers (include/uapi/linux/{sched,mount,prctl,capability}.h).
"""

import contextlib
import ctypes
import os
import struct

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID = 1, 2
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 1, 22, 24, 28
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 36, 38, 47, 2
CAP_SETFCAP = 31
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_SETATTR = 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPABILITY_VERSION_3 = 0x20080522
_SECURE_NOROOT_LOCKED = 0b11

_libc = ctypes.CDLL(None, use_errno=True)
Argument = int | bytes | None | ctypes.Array[ctypes.c_char]


def call(name: str, *arguments: Argument) -> int:
    """One function of the C library; integers go as long, because ctypes would cut them to 32 bits."""
    converted = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(getattr(_libc, name)(*converted))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


def syscall(number: int, *arguments: Argument) -> int:
    """A system call by number."""
    return call("syscall", number, *arguments)


def prctl(option: int, argument: int = 0, more: Argument = 0) -> int:
    """prctl(2) with the unused arguments zero, as newer options demand."""
    return call("prctl", option, argument, more, 0, 0)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones; CLONE_NEWPID counts for children only."""
    call("unshare", flags)


def enter_mounts(namespace: int) -> None:
    """Go (back) to a mount namespace by an open descriptor."""
    call("setns", namespace, NEWNS)


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2)."""
    call("mount", _text(source), _text(target), _text(kind), flags, _text(options or None))


def unmount(target: str) -> None:
    """Take a mount away; whoever still uses it keeps it."""
    call("umount2", _text(target), MNT_DETACH)


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root and put the old one at `old`. Has no C function."""
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(38, "no number of pivot_root for this machine", os.uname().machine)
    syscall(number, _text(new), _text(old))


def set_mount_flags(target: str, flags: int) -> None:
    """Add flags to a mount and all below it (mount_setattr, Linux 5.12)."""
    attributes = ctypes.create_string_buffer(struct.pack("QQQQ", flags, 0, 0, 0), 32)
    syscall(_MOUNT_SETATTR, _AT_FDCWD, _text(target), _AT_RECURSIVE, attributes, 32)


def drop_capabilities(keep: int | None = None) -> None:
    """Give up every capability for good, also those that executing a file as root would bring back.

    Args:
        keep: one that stays, for this process and for what it executes.
    """
    for capability in range(64):
        if capability == keep:
            continue
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last one, or none to drop with: then the sets below are all there is
    with contextlib.suppress(PermissionError):  # an ordinary user has none to lock away
        prctl(PR_SET_SECUREBITS, _SECURE_NOROOT_LOCKED)
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0), 8)
    bit = 0 if keep is None else 1 << keep
    call("capset", header, ctypes.create_string_buffer(struct.pack("6I", bit, bit, bit, 0, 0, 0), 24))
    if keep is not None:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, keep)
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def _text(value: str | None) -> bytes | None:
    return None if value is None else os.fsencode(value)
