"""Start a coding agent behind a fence: the user's project read-only but for its own folders, no way to signal others.

    fence.py SPEC COMMAND...
    SPEC: {"readonly": [...], "writable": [...], "file_bytes": N, "processes": N, "strict": bool}

A process namespace ends with the agent, so nothing that it left in the background survives; the guardian that waits
outside ends it when cairn itself is killed. Shared memory is its own, and control groups are read-only. Other folders,
the network and further sandboxes work as before: this is a fence round the project, not a cage. Where the kernel
refuses, only the guardian remains (`strict`: exit 71).

Not protected against: what an agent writes outside the project, such as the user's own configuration files.
"""

import contextlib
import itertools
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import confine_tree  # type: ignore[import-not-found]
import linux  # type: ignore[import-not-found]

NOT_HERE, NO_PROGRAM = 71, 127
_SPACES = linux.NEWNS | linux.NEWPID | linux.NEWIPC  # segments of System V outlive whoever made them
_EVERYBODYS = ("/sys/fs/cgroup",)  # its user may freeze or end through it whatever runs beside it
_SHARED = "/dev/shm"
_FIRST_TO_GO = "800"  # when memory is short the kernel ends the agent, and not the climb or the judge
_OWN_PID_MAX = (6, 14)  # since then each process namespace has a bound of its own; before, it was the machine's


def main(spec: Mapping[str, Any], command: list[str]) -> None:
    """Become the command, with a guardian above it; returns only when the program cannot be started."""
    folder = str(Path.cwd())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is meant for the agent; the guardian waits for its end
    try:
        _enter()
        fenced = True
    except OSError as error:
        if spec.get("strict"):
            sys.stderr.write(f"no namespaces: {error}\n")
            sys.exit(NOT_HERE)
        fenced = False
    confine_tree.fork_supervised((lambda: _build(spec, folder)) if fenced else None)
    if fenced:
        os.chdir(folder)  # the name, seen through the fence; the old handle would lead round it
        with contextlib.suppress(OSError):
            # since Linux 5.12 root needs it to make a user namespace with itself in it, as a client's own sandbox does
            linux.drop_capabilities(keep=linux.CAP_SETFCAP if os.geteuid() == 0 else None)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_FSIZE, spec.get("file_bytes"))
    if os.geteuid() != 0:  # nobody counts root's processes; `_build` has bounded those of a namespace
        _limit(resource.RLIMIT_NPROC, spec.get("processes"))
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"env: {command[0]}: {error.strerror}\n")
        os._exit(NO_PROGRAM)


def _limit(kind: int, most: int | None) -> None:
    """Lower a limit of this process and its children."""
    if most:
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard),) * 2)


def _enter() -> None:
    """Namespaces for users, mounts, processes and their shared memory and queues; the network stays."""
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.NEWUSER | _SPACES)
    except OSError:
        if user != 0:
            raise
        linux.unshare(_SPACES)  # root without user namespaces
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path(f"/proc/self/{name}").write_text(text, encoding="ascii")


def _build(spec: Mapping[str, Any], folder: str) -> None:
    """Mount the project over itself read-only, and the agent's own folders over that as they were."""
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    handles = {path: os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in spec["writable"]}
    for path in spec["readonly"]:
        linux.mount(path, path, None, linux.MS_BIND | linux.MS_REC)
        linux.set_mount_flags(path, linux.ATTR_RDONLY)
    _set_apart([*spec["readonly"], *spec["writable"], folder])
    for path, handle in handles.items():
        linux.mount(f"/proc/self/fd/{handle}", path, None, linux.MS_BIND | linux.MS_REC)
        os.close(handle)
    os.chdir(folder)
    with contextlib.suppress(OSError):  # some containers forbid a fresh one; the old one shows, but gives no reach
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        if spec.get("processes") and _kernel() >= _OWN_PID_MAX:
            Path("/proc/sys/kernel/pid_max").write_text(str(spec["processes"]), encoding="ascii")


def _set_apart(used: Sequence[str]) -> None:
    """Take away what all processes of the machine share, as far as the kernel lets us."""
    for path in _EVERYBODYS:
        if os.path.ismount(path):
            with contextlib.suppress(OSError):
                linux.mount(path, path, None, linux.MS_BIND | linux.MS_REC)
                linux.set_mount_flags(path, linux.ATTR_RDONLY)
    if any(Path(path).is_relative_to(_SHARED) for path in used):
        return  # the project itself lies in memory
    with contextlib.suppress(OSError):  # one of its own, which goes with it
        linux.mount("shm", _SHARED, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")


def _kernel() -> tuple[int, int]:
    """Major and minor number of the running kernel."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(itertools.takewhile(str.isdigit, minor)) or 0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
