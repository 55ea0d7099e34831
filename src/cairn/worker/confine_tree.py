"""The processes around a worker: they see it end, end what it leaves behind, and die with the judge.

    judge -- [template] -- supervisor -- [first process of the namespace] -- worker -- whatever it starts

The supervisor ends as the worker ended, with the same code or signal, and before that ends all that the worker
started: in a namespace by ending its first process, else as the one to whom orphans are given. The first process
exists because the kernel shields number 1 of a namespace from the signals of its own members.

Not protected against, outside a namespace and without Landlock's scopes: a worker that kills its supervisor. The
judge then looks for survivors by descent, session and marker (`cairn.process`).
"""

import contextlib
import os
import resource
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import linux  # type: ignore[import-not-found]

_WATCHED = {signal.SIGCHLD, signal.SIGTERM}
_STATUS = struct.Struct("i")
_PAUSE_S = 0.002


def fork_supervised(prepare: Callable[[], None] | None) -> None:
    """Leave the processes of the picture above behind; only the worker returns.

    Args:
        prepare: run in the first process of a new namespace; None when there is no namespace.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    status_read, status_write = os.pipe()
    child = os.fork()
    if child:
        os.close(status_write)
        _supervise(child, status_read if prepare else None)
    os.close(status_read)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if prepare:
        prepare()
        worker = os.fork()
        if worker:
            _be_first(worker, status_write)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.close(status_write)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)


def _supervise(child: int, status_read: int | None) -> NoReturn:
    """Wait for the worker, or for the judge's wish (SIGTERM); then end everything, and end alike."""
    _close_all_but(status_read)
    status = None
    while status is None:
        if signal.sigwait(_WATCHED) == signal.SIGTERM:
            with contextlib.suppress(ChildProcessError):  # collected a moment ago: its number may be another's now
                if os.waitpid(child, os.WNOHANG) == (0, 0):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
            status = int(signal.SIGKILL)
        else:
            status = _reap().get(child)
    _end_descendants()
    if status_read is not None:  # the child was the first process; what it wrote is about the worker
        told = os.read(status_read, _STATUS.size)
        status = _STATUS.unpack(told)[0] if len(told) == _STATUS.size else status
    _end_like(status)


def _be_first(worker: int, status_write: int) -> NoReturn:
    """Number 1 of a namespace: collect the dead, tell the worker's end, and take the others along."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _close_all_but(status_write)
    while True:
        pid, status = os.wait()
        if pid == worker:
            os.write(status_write, _STATUS.pack(status))
            os._exit(0)


def _reap() -> dict[int, int]:
    """Collect all children that have ended: their numbers and statuses."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            ended[pid] = status
    return ended


def _end_descendants() -> None:
    """Kill children until there are none; those of a killed one become children of this process in turn."""
    while True:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def _children() -> list[int]:
    """Numbers of the processes whose parent this is; the name in `stat` may hold spaces and brackets."""
    own, found = os.getpid(), []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]) == own:
                    found.append(int(folder.name))
    return found


def _end_like(status: int) -> NoReturn:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 1)


def _close_all_but(kept: int | None) -> None:
    """The pipes belong to the worker alone, or the judge would not see them close."""
    top = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(3, kept if kept is not None else top)
    if kept is not None:
        os.closerange(kept + 1, top)
