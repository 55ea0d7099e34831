"""Run a program that may hang, flood, fork or refuse to die, and leave nothing of it behind.

Used for coding assistants and for kernel workers. A child gets a session of its own, an environment built by
the caller, and a marker variable that its descendants inherit, so that those which moved to a session of their
own are found and ended as well. Streams are plain files, never pipes: a grandchild that keeps one open cannot
block anybody, and "idle" is simply "the files stopped growing".

What this does not stop: a descendant that clears its environment, moves to a session of its own *and* was
re-parented before the look at the tree that is taken when the program ends.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
        outputs = [stack.enter_context(path.open("wb")) for path in (streams.stdout, streams.stderr)]
        with interrupts_heard():
            child = subprocess.Popen(
                list(command),
                cwd=cwd,
                env=marked,
                stdin=stdin,
                stdout=outputs[0],
                stderr=outputs[1],
                start_new_session=True,
            )
        try:
            ended_by = _supervise(child, outputs, limits, cancelled)
        finally:
            end_tree(child.pid, mark, polite=child.poll() is None)
            returncode = _reap(child)
    if ended_by == "exit" and returncode < 0:
        ended_by = "signal"
    return Outcome(returncode, ended_by, time.monotonic() - started)


@contextlib.contextmanager
def interrupts_heard() -> Iterator[None]:
    """Undo, for a child started inside, what `nohup cairn climb &` does: an ignored interrupt is inherited.

    It is done in the parent, for the moment of the start, because code between fork and exec is not safe.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if not ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _supervise(
    child: subprocess.Popen[bytes], outputs: Sequence[IO[bytes]], limits: Limits, cancelled: Callable[[], bool]
) -> str:
    """Wait until the child ends or a limit is reached; say which.

    Sizes are asked of the open files, because a child may remove or replace what lies at their paths.
    """
    started = grew_at = time.monotonic()
    size = 0
    while True:
        try:
            child.wait(timeout=_POLL_S)
            return "exit"
        except subprocess.TimeoutExpired:
            pass
        now = time.monotonic()
        if (new_size := sum(os.fstat(file.fileno()).st_size for file in outputs)) != size:
            size, grew_at = new_size, now
        if cancelled():
            return "cancelled"
        if size > limits.max_output_bytes:
            return "output"
        if now - started > limits.wall_s:
            return "wall"
        if limits.idle_s is not None and now - grew_at > limits.idle_s:
            return "idle"


def _reap(child: subprocess.Popen[bytes]) -> int:
    """Collect a child that was killed. One that hangs inside a driver cannot die: it is left, not waited for."""
    try:
        return child.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL


def marked_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Copy an environment with a fresh marker in it; give both back."""
    mark = uuid.uuid4().hex
    return {**environment, MARKER: mark}, mark


def end_tree(root_pid: int, mark: str, *, parent: int | None = None, polite: bool = False) -> int:
    """End a process, its descendants, its session and whatever carries `mark`; return how many were ended.

    `parent` has started it, by default this process. With `polite`, SIGINT goes to the root's group first and the
    tree gets three seconds to leave by itself.
    """
    parent = parent or os.getpid()
    # before the root goes and its children get another parent
    seen = _tree(root_pid, mark, parent) if polite else []
    if polite:
        _interrupt(root_pid)
    ended: set[int] = set()
    for _ in range(20):  # a forking descendant can outrun one pass, so look again until nothing is left
        victims = [process for process in {*seen, *_tree(root_pid, mark, parent)} if not _gone(process)]
        if not victims:
            break
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.kill()
                ended.add(process.pid)
        _wait_until_gone(victims, 0.2)
    return len(ended)


def _interrupt(root_pid: int) -> None:
    try:
        root = psutil.Process(root_pid)
        os.killpg(root_pid, signal.SIGINT)
    except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        return
    _wait_until_gone([root], _GRACE_S)


def _wait_until_gone(processes: Sequence[psutil.Process], timeout_s: float) -> None:
    """Wait, but never collect: psutil.wait_procs would take the exit code away from the Popen that wants it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and not all(_gone(process) for process in processes):
        time.sleep(_POLL_S / 5)


def _tree(root_pid: int, mark: str, parent: int) -> list[psutil.Process]:
    """What belongs to a root by descent, by session or by mark, without this process itself."""
    found: set[psutil.Process] = set()
    sessions: set[int] = set()
    try:
        root = psutil.Process(root_pid)
        if _is_root(root, mark, parent):
            found = {root, *root.children(recursive=True)}
            sessions = {root_pid}
    except psutil.NoSuchProcess:
        sessions = {root_pid}  # its number stays taken as long as its session has a member
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) in sessions or process.environ().get(MARKER) == mark:
                found.add(process)
    return [process for process in found if process.pid != os.getpid() and not _gone(process)]


def _is_root(process: psutil.Process, mark: str, parent: int) -> bool:
    """False when the number of a root that has gone was given to a stranger."""
    with contextlib.suppress(psutil.Error, OSError):
        if MARKER in (environment := process.environ()):
            return bool(environment[MARKER] == mark)
    return bool(process.ppid() == parent)


def _gone(process: psutil.Process) -> bool:
    """True for a process that ended, including one that nobody has waited for yet."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
