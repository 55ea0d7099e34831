"""The judge's end of a template: workers that are copied from a process with its packages imported, not executed.

A template serves this process only and ends with it. Whatever goes wrong with one is no worker's failure: the caller
executes an interpreter instead, as where there are no templates (other systems, an interpreter on another host).
"""

import atexit
import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from cairn.worker.wire import FAR_PYTHON, FORK, NUMBER, READY

ROLES = ("candidate", "replay")  # they are started again and again, and wait for jax
# matrices of a kernel's block are small, so a second thread costs more in waking up than it saves; nor could a
# template have one, because threads are not copied
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_FOLDER = Path(__file__).with_name("worker")
_READY_S, _ANSWER_S = 120.0, 60.0

_templates: dict[tuple[str, str], "Template"] = {}
_looking = threading.Lock()


def warm(python: Path, role: str, environment: Mapping[str, str]) -> "Template | None":
    """The template of a role, started if need be and not waited for; None where there is none.

    `environment`: what a worker begins with that is given nothing of its own.
    """
    if role not in ROLES or python.name == FAR_PYTHON or not _possible():
        return None
    with _looking:
        known = _templates.get((str(python), role))
        if known is not None and not known.alive:
            if not known.made:  # such an interpreter has not what it takes, and says so when it is executed
                return None
            known.close()
            known = None
        if known is None:
            with contextlib.suppress(OSError):  # nor is it there
                known = _templates[(str(python), role)] = Template(python, role, {**environment, **ONE_THREAD})
        return known


@cache
def _possible() -> bool:
    """Whether this kernel gives handles of processes that are not one's own children."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


@atexit.register
def end_templates() -> None:
    """End them all, and every worker that they still have."""
    with _looking:
        for template in _templates.values():
            template.close()
        _templates.clear()


class Copied:
    """A process that a template made, with what is needed here of `subprocess.Popen`."""

    def __init__(self, template: "Template", pid: int) -> None:
        self.pid = pid
        self.parent = template.pid
        self.returncode: int | None = None
        self._template = template
        self._handle = os.pidfd_open(pid)  # the number is its own until it is collected
        weakref.finalize(self, os.close, self._handle)
        self._turn = threading.Lock()

    def poll(self) -> int | None:
        with self._turn:
            if self.returncode is None and self._ended(0):
                self._collect()
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        if self.returncode is None and not self._ended(timeout):
            raise subprocess.TimeoutExpired(f"worker {self.pid}", timeout or 0.0)
        with self._turn:
            if self.returncode is None:
                self._collect()
            assert self.returncode is not None
            return self.returncode

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with self._turn, contextlib.suppress(ProcessLookupError):
            if self.returncode is None:
                signal.pidfd_send_signal(self._handle, number)

    def _ended(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(None if timeout is None else 1000 * timeout))

    def _collect(self) -> None:
        status = self._template.collect(self.pid)
        self.returncode = -signal.SIGKILL if status is None else status  # it went with its template


class Template:
    """A process that has imported what a role needs; it is started at once and waited for when it is wanted."""

    def __init__(self, python: Path, role: str, environment: Mapping[str, str]) -> None:
        """Raises OSError when it cannot be started."""
        self._turn = threading.Lock()
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            try:
                self._child = subprocess.Popen(
                    [str(python), "-E", "-s", "-B", str(_FOLDER), "template", role, str(far.fileno())],
                    cwd="/",
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(far.fileno(),),
                    start_new_session=True,
                )
            except OSError:
                self._control.close()
                raise
        self._control.settimeout(_READY_S)
        self._ready = False
        self.pid = self._child.pid
        self.made = 0

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def copy(self, requests: int, replies: int, log: int) -> Copied | None:
        """A new process with these descriptors for its own; None when there is none to be had."""
        with self._turn:
            pid = self._ask(FORK, (requests, replies, log))
            if not pid:
                return None
            self.made += 1
            return Copied(self, pid)

    def collect(self, pid: int) -> int | None:
        """The exit code of a copy that has ended, as `subprocess` gives it; None when the template is gone."""
        with self._turn:
            return self._ask(NUMBER.pack(pid))

    def _ask(self, request: bytes, descriptors: Sequence[int] = ()) -> int | None:
        try:
            if not self._ready:
                if self._control.recv(64) != READY:
                    return None
                self._control.settimeout(_ANSWER_S)
                self._ready = True
            socket.send_fds(self._control, [request], descriptors)
            answer = self._control.recv(NUMBER.size)
        except OSError:  # gone, or stuck: an answer that comes too late would be taken for the next one's
            self._child.kill()
            return None
        return int(NUMBER.unpack(answer)[0]) if len(answer) == NUMBER.size else None

    def close(self) -> None:
        """End it, and with it every copy that is left."""
        self._child.kill()
        self._child.wait()
        self._control.close()
