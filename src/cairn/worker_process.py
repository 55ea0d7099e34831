"""The judge's end of a worker: start it, ask it, bound it, end it.

A worker is a process of its own in the kernel's interpreter, executed or copied from a template. It gets two pipes,
a private folder and an environment built from nothing; its stdout and stderr go to a log file that nobody believes.
Every request has a wall limit, and the worker's tree is watched while it answers. Whatever goes wrong is a
`WorkerFailure` with a reason, because a bad kernel is a result; only a broken installation is an error.

An untrusted worker locks itself in with the kernel's help before it loads anything, and says how far that went
(`Isolation`). What a level does not hold is not stopped here: at `process`, files of the machine and signals.
"""

import contextlib
import os
import resource
import secrets
import subprocess
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

from cairn.errors import Missing, Unreachable
from cairn.process import end_tree, marked_environment
from cairn.worker import wire
from cairn.worker.scratch import new_folder, remove
from cairn.worker_template import ONE_THREAD as ONE_THREAD
from cairn.worker_template import Copied, Template
from cairn.worker_template import warm as _warm
from cairn.worker_watch import Pipe, Watch, wide_pipe
from cairn.worker_watch import WorkerFailure as WorkerFailure
from cairn.worker_watch import WorkerLimits as WorkerLimits
from cairn.worker_watch import plain as plain

WORKER_FOLDER = Path(__file__).with_name("worker")
LEVELS = ("namespaces+landlock", "landlock", "namespaces", "process")  # best first
_HELLO_S, _GRACE_S = 60.0, 2.0
_OPEN_FILES = 1024
_TASKS = 512 + 64 * (os.cpu_count() or 1)  # threads count too, and XLA starts several per core
_ERROR_CHARS = 20_000
_RESERVED_BYTES = 8 * 2**30  # stacks and arenas of many threads: reserved, hardly used


@dataclass(frozen=True)
class Isolation:
    """How far a worker is locked in, as its trusted part told before a variant was loaded.

    `level`: `namespaces+landlock`, `landlock`, `namespaces` or `process`. `holds`: which of `processes`,
    `signals`, `network`, `files`, `disk`, `calls` and `privileges` follow; `docs/judge.md` says what each means.
    `layers`: every layer that was tried, with `on` or the kernel's words of refusal.
    """

    level: str = "process"
    holds: tuple[str, ...] = ()
    layers: Mapping[str, str] = field(default_factory=dict)


_living: "weakref.WeakSet[WorkerProcess]" = weakref.WeakSet()
_counting = threading.Lock()


def warm(python: Path, role: str) -> Template | None:
    """Have what workers of a role are copied from started, without waiting for it; None where they are executed."""
    return _warm(python, role, _bare_environment(Path("/")))


def end_all_workers() -> None:
    """Kill every worker that this process has, whichever thread waits for it; that thread sees a failure."""
    with _counting:
        workers = list(_living)
    for worker in workers:
        worker.kill()


class WorkerProcess:
    """One worker in one role. Use it as a context manager; leaving ends its whole process tree.

    An untrusted one also ends with its template or, if it has none, with the thread that made it: its parent.
    """

    def __init__(
        self,
        python: Path,
        role: str,
        *,
        environment: Mapping[str, str] | None = None,
        limits: WorkerLimits | None = None,
        isolation: str = LEVELS[0],
    ) -> None:
        """Start the process; `isolation` is the highest level to use, and only tests have a reason to lower it."""
        self.role = role
        self._python = python
        self._limits = limits or WorkerLimits()
        self._environment = dict(environment or {})
        template = self._template()
        self.folder = new_folder(role)
        self._clean, self._mark = marked_environment({**_bare_environment(self.folder), **self._environment})
        request_read, request_write = wide_pipe()
        reply_read, reply_write = wide_pipe()
        # read by its descriptor only: at the name a worker may have put a link, or something that blocks
        self._log = (self.folder / "worker.log").open("w+b")
        try:
            copied = template.copy(request_read, reply_write, self._log.fileno()) if template else None
            self._child: Copied | subprocess.Popen[bytes] = copied or self._execute(request_read, reply_write)
        finally:
            for handle in (request_read, reply_write):
                os.close(handle)
        with _counting:
            _living.add(self)
        self._requests = Pipe(request_write, self._child)
        self._replies = Pipe(reply_read, self._child)
        self._bound()
        self._isolation = None if role in wire.CONFINED_ROLES else Isolation()
        if role in wire.CONFINED_ROLES:
            with contextlib.suppress(BrokenPipeError):  # it died at once: whoever asks next is told
                self._greet(isolation)

    def _template(self) -> Template | None:
        """Where this worker can be copied from; one with an environment of its own has to be executed."""
        if any(ONE_THREAD.get(name) != value for name, value in self._environment.items()):
            return None
        return warm(self._python, self.role)

    def _execute(self, request_read: int, reply_write: int) -> subprocess.Popen[bytes]:
        fixed = [str(self._python), "-E", "-s", "-B", str(WORKER_FOLDER)]
        try:
            return subprocess.Popen(
                [*fixed, self.role, str(request_read), str(reply_write)],
                cwd=self.folder,
                env=self._clean,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(request_read, reply_write),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            self._log.close()
            remove(self.folder)
            hint = "name one that has jax: climb.python"
            raise Missing(f"no interpreter at {self._python}", hint=hint) from error

    def _bound(self) -> None:
        pid = self._child.pid
        for what, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, self._limits.file_bytes),
            (resource.RLIMIT_CPU, self._limits.cpu_s),
        ):
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, what, (most, most))

    def _greet(self, level: str) -> None:
        """Send the first request, in which the worker locks itself in; its answer is read when somebody waits."""
        limits = {
            "CORE": 0,
            "FSIZE": self._limits.file_bytes,
            "CPU": self._limits.cpu_s,
            "NOFILE": _OPEN_FILES,
            "NPROC": _TASKS,
            "DATA": self._limits.memory_bytes + _RESERVED_BYTES,
        }
        hello = {"op": "hello", "level": level, "limits": limits, "scratch_bytes": self._limits.scratch_bytes}
        if isinstance(self._child, Copied):
            hello |= {"folder": str(self.folder), "environment": self._clean}
        wire.write_frame(cast(BinaryIO, self._requests), {**hello, "id": "hello"})

    @property
    def isolation(self) -> Isolation:
        """How far this worker is locked in.

        Raises:
            WorkerFailure: it ended before it could tell.
        """
        if self._isolation is None:
            self._watch(_HELLO_S)
            with self._failing():
                self._isolation = self._greeting()
        return self._isolation

    def _greeting(self) -> Isolation:
        reply, _ = wire.read_frame(cast(BinaryIO, self._replies), 0)
        if reply.get("id") != "hello":
            raise wire.WireError("no answer to the first request")
        return Isolation(str(reply["level"]), tuple(map(str, reply["holds"])), dict(reply["layers"]))

    def _watch(self, timeout_s: float) -> None:
        watch = Watch(time.monotonic() + timeout_s, self._child, self.folder, self._limits)
        self._requests.watch = self._replies.watch = watch

    def ask(
        self, header: dict[str, Any], blobs: Sequence[bytes] = (), *, timeout_s: float
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Send one request and wait for its reply.

        Raises:
            WorkerFailure: no valid reply in time; the worker is ended unless it merely raised.
            Unreachable: the worker's host was lost, which says nothing about what it was asked.
        """
        self._watch(timeout_s)
        request_id = secrets.token_hex(8)
        with self._failing():
            self._isolation = self._isolation or self._greeting()
            wire.write_frame(cast(BinaryIO, self._requests), {**header, "id": request_id}, blobs)
            reply, reply_blobs = wire.read_frame(cast(BinaryIO, self._replies), self._limits.reply_bytes)
        if reply.get("id") != request_id:
            self.close()
            raise WorkerFailure("garbled", "a reply to nothing that was asked")
        if "error" in reply:
            said = reply["error"] if isinstance(reply["error"], dict) else {}
            error_text = {str(key): plain(str(value), _ERROR_CHARS) for key, value in said.items()}
            message = error_text.get("message", "")
            raise WorkerFailure("raised", f"{error_text.get('type')}: {message}", error_text)
        return reply, reply_blobs

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """End the worker when an exchange goes wrong, and say as a WorkerFailure how it did."""
        try:
            yield
        except WorkerFailure:
            self.close()
            raise
        except (EOFError, BrokenPipeError) as error:
            raise self._ended() from error
        except wire.WireError as error:
            failure = self._ended() if str(error).startswith("the pipe closed") else None
            self.close()
            raise failure or WorkerFailure("garbled", str(error)) from error

    def _ended(self) -> WorkerFailure:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=2)
        code = self._child.poll()
        tail = self.log_tail()
        self.close()
        if code == wire.LOST and self._python.name == wire.FAR_PYTHON:
            raise Unreachable(f"the host of a worker: {tail}", hint="its work is asked for again; is the host up?")
        if code is not None and code < 0:
            return WorkerFailure("killed", f"by signal {-code}. {tail}".strip())
        return WorkerFailure("exited", f"with code {code} before it answered. {tail}".strip())

    def log_tail(self, limit: int = 8000) -> str:
        """The end of what the worker printed: evidence for people, never a result."""
        if self._log.closed:
            return ""
        handle = self._log.fileno()
        start = max(0, os.fstat(handle).st_size - limit)
        return os.pread(handle, limit, start).decode("utf-8", "replace").strip()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def kill(self) -> None:
        """End the worker from another thread; the one that uses it sees a failure and closes it."""
        self._child.kill()

    def close(self) -> None:
        """End the worker with every process it started and remove its folder; safe to call twice."""
        if self.role in wire.CONFINED_ROLES:
            self._child.terminate()  # its supervisor ends all below it, in whatever namespace, and then itself
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout=_GRACE_S)
        end_tree(self._child.pid, self._mark, parent=getattr(self._child, "parent", None))
        self._child.wait()
        with _counting:
            _living.discard(self)
        self._requests.close()
        self._replies.close()
        self._log.close()
        remove(self.folder)

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bare_environment(folder: Path) -> dict[str, str]:
    """Nothing of the caller's environment but where programs are; home and temporary files are private."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "JAX_PLATFORMS": "cpu",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def probe_isolation(python: Path) -> Isolation:
    """Start a real worker, ask how far it could lock itself in, and end it.

    Raises:
        Missing: there is no such interpreter, or it ended before it could tell.
    """
    with WorkerProcess(python, "candidate") as worker:
        try:
            return worker.isolation
        except WorkerFailure as failure:
            raise Missing(
                f"a worker does not start: {failure}", hint="name another one: climb.python"
            ) from failure
