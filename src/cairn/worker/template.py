"""A process that has imported what a role needs, and forks a worker from itself whenever the judge asks.

Importing jax takes longer than most variants take to load. A template does it once; each worker begins as a copy of
it, made before any variant, request, folder or environment was seen, so there is nothing of the judge's or of
another worker in it to be found. The copy locks itself in like a worker that was executed.

Over its socket come `FORK` with three descriptors (requests, replies, log), answered by the new process' number, and
the number of one that ended, answered by its status. Only then is it collected, so that its number stays its own as
long as the judge may use it. When the socket closes the template ends, and its workers with it.

What copies share: the layout of their memory and the order of their sets of texts. So a role has a template of its
own: a variant's process does not tell where things lie in the one that replays programs.
"""

import contextlib
import importlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import linux  # type: ignore[import-not-found]
import wire  # type: ignore[import-not-found]

# what a worker imports with its first request
_AHEAD = {
    "candidate": ("jax.export", "jax.experimental.pallas", "jax.experimental.pallas.tpu"),
    "replay": ("jax.export", "stablehlo_facts"),
}
_COPY, _REFUSED = -1, 0
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")  # set for templates, whose threads would not be copied


def import_ahead(role: str) -> None:
    """What is imported only when it is needed, and nearly always is."""
    for name in _AHEAD[role]:
        with contextlib.suppress(ImportError):  # whoever needs it says so
            importlib.import_module(name)


def copies(control_fd: int) -> tuple[int, int] | None:
    """Fork on demand; returns in each copy, with its two descriptors, and None in the template at its end."""
    control = socket.socket(fileno=control_fd)
    control.send(wire.READY)
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 64, 3)
        if not request:
            return None
        if request != wire.FORK:
            control.send(wire.NUMBER.pack(_collect(*wire.NUMBER.unpack(request))))
            continue
        template = os.getpid()
        child = _fork() if len(descriptors) == 3 else _REFUSED
        if child == _COPY:
            control.detach()
            return _begin(template, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(wire.NUMBER.pack(child))


def _fork() -> int:
    """The number of a copy, or in it `_COPY`; `_REFUSED` with a second thread, whose locks would stay locked there."""
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        return _REFUSED
    try:
        return os.fork() or _COPY
    except OSError:  # no more processes or memory
        return _REFUSED


def _collect(pid: int) -> int:
    """The status of a copy that has ended."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return -signal.SIGKILL


def _begin(template: int, requests: int, replies: int, log: int) -> tuple[int, int]:
    """What the system does when a program is executed: a session, streams, and no descriptor but its own."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != template:
        os._exit(1)
    os.setsid()
    for stream in (1, 2):
        os.dup2(log, stream)
    kept, top = sorted((requests, replies)), os.sysconf("SC_OPEN_MAX")
    for low, high in ((3, kept[0]), (kept[0] + 1, kept[1]), (kept[1] + 1, top)):
        os.closerange(low, high)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()  # Python's own numbers are drawn anew after every fork
    return requests, replies


def settle(folder: str, environment: Mapping[str, str]) -> None:
    """Take the folder and the environment of one's own; what importing packages has set stays."""
    os.chdir(folder)
    tempfile.tempdir = None
    for name in set(_ONE_THREAD) - environment.keys():
        os.environ.pop(name, None)
    os.environ.update(environment)
