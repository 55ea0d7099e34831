"""Run a program that may hang, flood, fork or refuse to die, and leave nothing of it behind.

Used for coding assistants and for kernel workers. A child gets a session of its own, an environment built by
the caller, and a marker variable that its descendants inherit, so that those which moved to a session of their
own are found and ended as well. Streams are plain files, never pipes: a grandchild that keeps one open cannot
block anybody, and "idle" is simply "the files stopped growing".

What this does not stop: a descendant that clears its environment *and* was re-parented before the first look.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARKER = "CAIRN_PROCESS_TREE"
_GRACE_S = 3.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Limits:
    """When to stop waiting. `idle_s`: seconds in which neither stream grew; None means no such limit."""

    wall_s: float
    idle_s: float | None = None
    max_output_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class Outcome:
    """How a program ended. `ended_by`: exit, signal, wall, idle, output (too much of it) or cancelled."""

    returncode: int
    ended_by: str
    wall_s: float

    @property
    def ok(self) -> bool:
        return self.ended_by == "exit" and self.returncode == 0


@dataclass(frozen=True)
class Streams:
    """Files for a child's three streams; `stdin_text` is all it will ever read, then end of file."""

    stdout: Path
    stderr: Path
    stdin_text: str = ""

    def grown_to(self) -> int:
        return self.stdout.stat().st_size + self.stderr.stat().st_size


def run_bounded(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    streams: Streams,
    limits: Limits,
    cancelled: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run a command to its end or to a limit; nothing of its process tree survives either way.

    Raises:
        FileNotFoundError: the program is not there.
    """
    marked, mark = marked_environment(environment)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        stdin = stack.enter_context(tempfile.TemporaryFile())
        stdin.write(streams.stdin_text.encode())
        stdin.seek(0)
        child = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=marked,
            stdin=stdin,
            stdout=stack.enter_context(streams.stdout.open("wb")),
            stderr=stack.enter_context(streams.stderr.open("wb")),
            start_new_session=True,
        )
    try:
        ended_by = _supervise(child, streams, limits, cancelled)
    finally:
        end_tree(child.pid, mark, polite=child.poll() is None)
        returncode = child.wait()
    if ended_by == "exit" and returncode < 0:
        ended_by = "signal"
    return Outcome(returncode, ended_by, time.monotonic() - started)


def _supervise(
    child: subprocess.Popen[bytes], streams: Streams, limits: Limits, cancelled: Callable[[], bool]
) -> str:
    """Wait until the child ends or a limit is reached; say which."""
    started = grew_at = time.monotonic()
    size = 0
    while True:
        try:
            child.wait(timeout=_POLL_S)
            return "exit"
        except subprocess.TimeoutExpired:
            pass
        now = time.monotonic()
        if (new_size := streams.grown_to()) != size:
            size, grew_at = new_size, now
        if cancelled():
            return "cancelled"
        if size > limits.max_output_bytes:
            return "output"
        if now - started > limits.wall_s:
            return "wall"
        if limits.idle_s is not None and now - grew_at > limits.idle_s:
            return "idle"


def marked_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Copy an environment with a fresh marker in it; give both back."""
    mark = uuid.uuid4().hex
    return {**environment, MARKER: mark}, mark


def end_tree(root_pid: int, mark: str, *, polite: bool = False) -> int:
    """End a process, its descendants and whatever carries `mark`; return how many were ended.

    With `polite`, SIGINT goes to the root's group first and the tree gets three seconds to leave by itself.
    """
    if polite:
        _interrupt(root_pid)
    ended: set[int] = set()
    for _ in range(20):  # a forking descendant can outrun one pass, so look again until nothing is left
        victims = _tree(root_pid, mark)
        if not victims:
            break
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.kill()
                ended.add(process.pid)
        psutil.wait_procs(victims, timeout=0.2)
    return len(ended)


def _interrupt(root_pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(root_pid, signal.SIGINT)
    deadline = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline and not _gone(root_pid):
        time.sleep(_POLL_S)


def _tree(root_pid: int, mark: str) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(root_pid)
        found = {process.pid: process for process in (root, *root.children(recursive=True))}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARKER) == mark:
                found[process.pid] = process
    return [process for process in found.values() if not _gone(process.pid)]


def _gone(pid: int) -> bool:
    """True for a process that ended, including one that nobody has waited for yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
