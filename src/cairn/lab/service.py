"""The real TPU compiler as a service: one warm, killable process that turns an exported program into its schedule.

A compile may take minutes, eat gigabytes or abort the process, and each of these is a result about the kernel,
not an error of the judge: `CompileService.compile` answers with a classified `Failure`, ends the process and
starts a fresh one for the next call. The child gets an environment built from nothing and a private directory.

What this does not protect against: a malicious program that takes over the compiler. It runs with the judge's
user rights; only serialised programs, never a variant's Python, are handed to it.
"""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from cairn import process
from cairn.errors import Missing, UsageError
from cairn.lab import dumps, failures, pipes
from cairn.lab.chip import TARGETS
from cairn.lab.dumps import Dump
from cairn.lab.failures import Failure
from cairn.worker import wire

START_TIMEOUT_S = 120.0
MAX_RSS_BYTES = 12 * 1024**3
RECYCLE_AFTER = 200  # the process grows by a few megabytes a compile; 0.6-2 GB each
_MAX_REPLY_BYTES = 1024**2
_LOG_TAIL_BYTES = 20_000
_WORKER = Path(wire.__file__).parent


@dataclass(frozen=True)
class CompileResult:
    """What the compiler said about one program for one target.

    Attributes:
        failure: None when it compiled.
        seconds: durations of `lower`, `compile` and `total` (as seen from here).
        memory: sizes in bytes from the compiler's memory analysis.
        cost: XLA's own cost analysis; knows nothing about the inside of a Pallas call.
        custom_calls: names of the custom calls alive in the scheduled program, in order.
        operands: how operands parked in on-chip memory were treated (`neighbours charged`).
        dump: scheduled HLO and bundles; empty when it did not compile.
    """

    target: str
    failure: Failure | None
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    parameters: int = 0
    custom_calls: tuple[str, ...] = ()
    operands: str = "neighbours charged"
    dump: Dump = field(default_factory=Dump)

    @property
    def ok(self) -> bool:
        return self.failure is None


class CompileService:
    """Context manager round the compiler process; starts on the first compile, restarts after a loss.

    Args:
        python: interpreter that has jax and libtpu.
        max_rss_bytes: resident memory at which the process is ended.
        recycle_after: compiles after which a fresh process is started.
    """

    def __init__(
        self, python: Path, *, max_rss_bytes: int = MAX_RSS_BYTES, recycle_after: int = RECYCLE_AFTER
    ) -> None:
        self._python = python
        self._max_rss_bytes = max_rss_bytes
        self._recycle_after = recycle_after
        self._room: Path | None = None
        self._child: _Child | None = None
        self._versions: dict[str, str | None] = {}
        self.starts = 0  # processes started so far: tests and reports want it

    def __enter__(self) -> "CompileService":
        self._room = Path(tempfile.mkdtemp(prefix="cairn-lab-"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if self._room is not None:
            shutil.rmtree(self._room, ignore_errors=True)
            self._room = None

    @property
    def pid(self) -> int | None:
        """Process id of the running compiler, None when there is none."""
        return None if self._child is None else self._child.pid

    def versions(self) -> dict[str, str | None]:
        """Versions of jax, jaxlib and libtpu in the compiler's interpreter.

        Raises:
            Missing: the interpreter has no jax or libtpu, or the process cannot start.
        """
        self._ensure()
        return dict(self._versions)

    def compile(self, exported: bytes, target: str, timeout_s: float) -> CompileResult:
        """Compile a serialised `jax.export` for a target; a failure of any kind is part of the result.

        Args:
            exported: the serialised program.
            target: one of `TARGETS`.
            timeout_s: wall-clock limit; the process is ended when it is exceeded.

        Raises:
            UsageError: the target is unknown.
            Missing: the compiler cannot be started at all.
        """
        if target not in TARGETS:
            raise UsageError(f"unknown target {target!r}", hint=f"one of {', '.join(TARGETS)}")
        child = self._ensure()
        reusable = False
        started = time.monotonic()
        try:
            dumps.empty(child.dump_directory)
            reply = child.ask({"op": "compile", "target": target}, [exported], timeout_s)
            total_s = time.monotonic() - started
            if "error" in reply:
                result = self._failed(target, failures.classify(**_texts(reply["error"])), total_s)
            else:
                result = self._succeeded(target, reply, dumps.read(child.dump_directory), total_s)
            dumps.empty(child.dump_directory)
            reusable = child.compiles < self._recycle_after
            return result
        except pipes.ChildLost as lost:
            return self._failed(target, _lost(lost, child, timeout_s), time.monotonic() - started)
        finally:
            if not reusable:  # lost, worn out, or interrupted in the middle of an answer
                self._end()

    def _failed(self, target: str, failure: Failure, total_s: float) -> CompileResult:
        return CompileResult(target, failure, {"total": total_s}, dict(self._versions))

    def _succeeded(self, target: str, reply: dict[str, Any], dump: Dump, total_s: float) -> CompileResult:
        return CompileResult(
            target=target,
            failure=None,
            seconds={**reply["seconds"], "total": total_s},
            versions=reply["versions"],
            memory=reply["memory"],
            cost=reply["cost"],
            parameters=reply["parameters"],
            custom_calls=tuple(dumps.custom_calls(dump.hlo)),
            operands=reply["operands"],
            dump=dump,
        )

    def _ensure(self) -> "_Child":
        if self._room is None:
            raise UsageError("CompileService is a context manager: use it in a `with` statement")
        if self._child is not None and self._child.alive():
            return self._child
        self._end()
        self.starts += 1
        child = _Child(self._python, self._room / f"start-{self.starts}", self._max_rss_bytes)
        try:
            reply = child.ask({"op": "versions"}, [], START_TIMEOUT_S)
        except pipes.ChildLost as lost:
            log = child.log_tail().strip().splitlines()
            child.end()
            raise _missing(self._python, log[-1] if log else str(lost)) from lost
        self._versions = reply.get("versions", {})
        if self._versions.get("libtpu") is None:
            child.end()
            raise _missing(self._python, "no libtpu in it")
        self._child = child
        return child

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """One compiler process with its two pipes, its log and its dump directory."""

    def __init__(self, python: Path, room: Path, max_rss_bytes: int) -> None:
        self.dump_directory = room / "dump"
        self.dump_directory.mkdir(parents=True)
        self.compiles = 0
        self._room = room
        self._log = room / "log"
        self._max_rss_bytes = max_rss_bytes
        environment, self._mark = process.marked_environment(_environment(room, self.dump_directory))
        ends = pipes.open_pair()
        command = [str(python), "-E", "-s", str(_WORKER), "compiler", str(ends.child_in), str(ends.child_out)]
        with self._log.open("wb") as log, contextlib.closing(ends):
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=room,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(ends.child_in, ends.child_out),
                    start_new_session=True,
                )
            except OSError as error:
                ends.close_parent()
                raise _missing(python, str(error)) from error
        self._pipe = pipes.GuardedPipe(ends.parent_out, ends.parent_in, self._guard)
        self._deadline = 0.0
        self.pid = self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, header: dict[str, Any], blobs: list[bytes], timeout_s: float) -> dict[str, Any]:
        """Send a request and wait for its reply.

        Raises:
            pipes.ChildLost: no answer in time, too much memory, or the process ended.
        """
        self._deadline = time.monotonic() + timeout_s
        self.compiles += bool(blobs)
        try:
            wire.write_frame(self._pipe, header, blobs)  # type: ignore[arg-type]
            reply, _ = wire.read_frame(self._pipe, _MAX_REPLY_BYTES)  # type: ignore[arg-type]
        except (OSError, EOFError, wire.WireError) as error:
            raise pipes.ChildLost("crash", str(error)) from error
        return reply

    def _guard(self) -> None:
        if time.monotonic() > self._deadline:
            raise pipes.ChildLost("timeout", "no answer in time")
        with contextlib.suppress(psutil.Error):
            if psutil.Process(self.pid).memory_info().rss > self._max_rss_bytes:
                raise pipes.ChildLost("memory", f"more than {self._max_rss_bytes / 2**30:.1f} GiB resident")

    def log_tail(self) -> str:
        data = self._log.read_bytes()[-_LOG_TAIL_BYTES:]
        return data.decode("utf-8", errors="replace")

    def end(self) -> None:
        self._pipe.close()
        process.end_tree(self.pid, self._mark)
        self._process.wait()
        shutil.rmtree(self._room, ignore_errors=True)


def _environment(room: Path, dump_directory: Path) -> dict[str, str]:
    """The child's whole environment. The accelerator type satisfies libtpu's start; it binds no target."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(room),
        "TMPDIR": str(room),
        "LANG": "C.UTF-8",
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_ACCELERATOR_TYPE": "v5litepod-4",
        "TPU_LOG_DIR": "disabled",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "LIBTPU_INIT_ARGS": dumps.DUMP_FLAGS.format(directory=dump_directory),
    }


def _texts(error: dict[str, str]) -> dict[str, str]:
    return {"error_type": error["type"], "message": error["message"], "traceback": error["traceback"]}


def _lost(lost: pipes.ChildLost, child: _Child, timeout_s: float) -> Failure:
    if lost.why == "timeout":
        return failures.classify("timeout", f"no schedule after {timeout_s:g} s")
    if lost.why == "memory":
        return failures.classify("crash", f"the compiler used {lost}")
    return failures.classify("crash", failures.last_words(child.log_tail()))


def _missing(python: Path, why: str) -> Missing:
    return Missing(
        f"the TPU compiler does not start with {python}: {why}",
        hint="install jax and libtpu into that interpreter: pip install 'kernel-cairn[tpu]'",
    )
