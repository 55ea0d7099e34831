"""The judge's end of a worker: start it, ask it, bound it, end it.

A worker is a process of its own in the kernel's interpreter. It gets two pipes, a private folder and an
environment built from nothing; its stdout and stderr go to a log file that nobody believes. Every request has a
wall limit, and the worker's memory is watched while it answers. Whatever goes wrong is a `WorkerFailure` with a
reason, because a bad kernel is a result; only a broken installation is an error.

Not stopped here: reading files of the machine and opening sockets. That needs the kernel's help (namespaces).
"""

import contextlib
import os
import resource
import secrets
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import psutil

from cairn.errors import Missing
from cairn.process import end_tree, marked_environment
from cairn.worker import wire

WORKER_FOLDER = Path(__file__).with_name("worker")
_POLL_S = 0.2


@dataclass(frozen=True)
class WorkerLimits:
    """Bounds of one worker process; memory is resident memory of the process itself."""

    memory_bytes: int = 12 * 2**30
    file_bytes: int = 2 * 2**30
    cpu_s: int = 3600
    reply_bytes: int = 4 * 2**30


class WorkerFailure(Exception):
    """A worker gave no valid answer.

    `reason`: `timeout`, `exited` (ended by itself, e.g. os._exit), `killed` (by a signal), `memory`, `garbled`
    (bytes that are no frame) or `raised` (the request failed with an exception; see `error`).
    """

    def __init__(self, reason: str, detail: str, error: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.error = dict(error or {})


class WorkerProcess:
    """One worker in one role. Use it as a context manager; leaving ends its whole process tree."""

    def __init__(
        self,
        python: Path,
        role: str,
        *,
        environment: Mapping[str, str] | None = None,
        limits: WorkerLimits | None = None,
    ) -> None:
        self.role = role
        self._limits = limits or WorkerLimits()
        self.folder = Path(tempfile.mkdtemp(prefix=f"cairn-{role}-"))
        clean, self._mark = marked_environment({**_bare_environment(self.folder), **(environment or {})})
        request_read, request_write = os.pipe()
        reply_read, reply_write = os.pipe()
        log = (self.folder / "worker.log").open("wb")
        command = [str(python), "-E", "-s", "-B", str(WORKER_FOLDER), role, str(request_read), str(reply_write)]
        try:
            self._child = subprocess.Popen(
                command,
                cwd=self.folder,
                env=clean,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(request_read, reply_write),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise Missing(f"no interpreter at {python}", hint="name one that has jax: climb.python") from error
        finally:
            for handle in (request_read, reply_write):
                os.close(handle)
            log.close()
        self._requests = _Pipe(request_write, self._child)
        self._replies = _Pipe(reply_read, self._child)
        self._bound()

    def _bound(self) -> None:
        pid = self._child.pid
        for what, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, self._limits.file_bytes),
            (resource.RLIMIT_CPU, self._limits.cpu_s),
        ):
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, what, (most, most))

    def ask(
        self, header: dict[str, Any], blobs: Sequence[bytes] = (), *, timeout_s: float
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Send one request and wait for its reply.

        Raises:
            WorkerFailure: no valid reply in time; the worker is ended unless it merely raised.
        """
        watch = _Watch(time.monotonic() + timeout_s, self._child, self._limits.memory_bytes)
        self._requests.watch = self._replies.watch = watch
        try:
            request_id = secrets.token_hex(8)
            wire.write_frame(cast(BinaryIO, self._requests), {**header, "id": request_id}, blobs)
            reply, reply_blobs = wire.read_frame(cast(BinaryIO, self._replies), self._limits.reply_bytes)
        except WorkerFailure:
            self.close()
            raise
        except (EOFError, BrokenPipeError) as error:
            raise self._ended() from error
        except wire.WireError as error:
            failure = self._ended() if str(error).startswith("the pipe closed") else None
            self.close()
            raise failure or WorkerFailure("garbled", str(error)) from error
        if reply.get("id") != request_id:
            self.close()
            raise WorkerFailure("garbled", "a reply to nothing that was asked")
        if "error" in reply:
            error_text = {key: str(value) for key, value in dict(reply["error"]).items()}
            message = error_text.get("message", "")
            raise WorkerFailure("raised", f"{error_text.get('type')}: {message}", error_text)
        return reply, reply_blobs

    def _ended(self) -> WorkerFailure:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=2)
        code = self._child.poll()
        tail = self.log_tail()
        self.close()
        if code is not None and code < 0:
            return WorkerFailure("killed", f"by signal {-code}. {tail}".strip())
        return WorkerFailure("exited", f"with code {code} before it answered. {tail}".strip())

    def log_tail(self, limit: int = 2000) -> str:
        """The end of what the worker printed: evidence for people, never a result."""
        with contextlib.suppress(OSError):
            return (self.folder / "worker.log").read_bytes()[-limit:].decode("utf-8", "replace").strip()
        return ""

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def close(self) -> None:
        """End the worker with every process it started and remove its folder; safe to call twice."""
        end_tree(self._child.pid, self._mark)
        self._child.wait()
        self._requests.close()
        self._replies.close()
        shutil.rmtree(self.folder, ignore_errors=True)

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


class _Watch:
    """Decides, while the judge waits, whether waiting is still allowed."""

    def __init__(self, deadline: float, child: subprocess.Popen[bytes], memory_bytes: int) -> None:
        self._deadline = deadline
        self._child = child
        self._memory_bytes = memory_bytes

    def check(self) -> None:
        if time.monotonic() > self._deadline:
            raise WorkerFailure("timeout", "no answer within the limit")
        with contextlib.suppress(psutil.NoSuchProcess):
            used = psutil.Process(self._child.pid).memory_info().rss
            if used > self._memory_bytes:
                raise WorkerFailure(
                    "memory", f"{used / 2**30:.1f} GiB in use, {self._memory_bytes / 2**30:.1f} allowed"
                )


class _Pipe:
    """One end of a pipe that never blocks longer than its watch allows: what `wire` reads from and writes to."""

    def __init__(self, descriptor: int, child: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self._child = child
        self._open = True
        self.watch: _Watch | None = None
        os.set_blocking(descriptor, False)

    def _wait(self, event: int) -> bool:
        """Wait until the pipe is ready; False when the child is gone and left nothing behind."""
        poll = select.poll()
        poll.register(self._descriptor, event)
        while not poll.poll(_POLL_S * 1000):
            if self.watch is not None:
                self.watch.check()
            if self._child.poll() is not None and not poll.poll(0):
                return False
        return True

    def read(self, count: int) -> bytes:
        chunks: list[bytes] = []
        missing = count
        while missing:
            if not self._wait(select.POLLIN):
                break
            chunk = os.read(self._descriptor, min(missing, 1 << 20))
            if not chunk:
                break
            chunks.append(chunk)
            missing -= len(chunk)
            if self.watch is not None and len(chunks) % 64 == 0:
                self.watch.check()  # a worker that drips bytes must not outlive its limit
        return b"".join(chunks)

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            if not self._wait(select.POLLOUT):
                raise BrokenPipeError
            view = view[os.write(self._descriptor, view[: 1 << 20]) :]
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)
