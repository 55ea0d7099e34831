"""The real TPU compiler as a service: one warm, killable process that turns an exported program into its schedule.

A compile may take minutes, eat gigabytes or abort the process, and each of these is a result about the kernel,
not an error of the judge: `CompileService.compile` answers with a classified `Failure`, ends the process and
starts a fresh one for the next call. The child gets an environment built from nothing and a private directory.

What this does not protect against: a malicious program that takes over the compiler. It runs with the judge's
user rights; only serialised programs, never a variant's Python, are handed to it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cairn.errors import Missing, UsageError
from cairn.lab import dumps, failures
from cairn.lab.chip import TARGETS
from cairn.lab.dumps import Dump
from cairn.lab.failures import Failure
from cairn.roofline import chips
from cairn.worker_process import WorkerFailure, WorkerLimits, WorkerProcess

START_TIMEOUT_S = 120.0
MAX_RSS_BYTES = 12 * 1024**3
RECYCLE_AFTER = 200  # the process grows by a few megabytes a compile; 0.6-2 GB each
_DUMP_FOLDER = "dump"  # below the worker's own folder, which bounds it and is removed with it
# The accelerator type satisfies libtpu's start; it binds no target.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "LIBTPU_INIT_ARGS": dumps.DUMP_FLAGS.format(directory=_DUMP_FOLDER),
}


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
        self._limits = WorkerLimits(memory_bytes=max_rss_bytes)
        self._recycle_after = recycle_after
        self._worker: WorkerProcess | None = None
        self._compiles = 0
        self._versions: dict[str, str | None] = {}
        self._closed = True
        self.starts = 0  # processes started so far: tests and reports want it

    def __enter__(self) -> "CompileService":
        self._closed = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._closed = True

    @property
    def pid(self) -> int | None:
        """Process id of the running compiler, None when there is none."""
        return None if self._worker is None else self._worker.pid

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
            target: a chip that has a topology and a table.
            timeout_s: wall-clock limit; the process is ended when it is exceeded.

        Raises:
            UsageError: the target is unknown.
            Missing: the compiler cannot be started at all.
        """
        if target not in TARGETS:
            raise UsageError(f"unknown target {target!r}", hint=f"one of {', '.join(TARGETS)}")
        header = {"op": "compile", "topology": chips()[target].topology}
        worker = self._ensure()
        folder = worker.folder / _DUMP_FOLDER
        reusable = False
        started = time.monotonic()
        self._compiles += 1
        try:
            dumps.empty(folder)
            reply, _ = worker.ask(header, [exported], timeout_s=timeout_s)
            result = self._succeeded(target, reply, dumps.read(folder), time.monotonic() - started)
            dumps.empty(folder)
            reusable = self._compiles < self._recycle_after
            return result
        except WorkerFailure as failure:
            reusable = failure.reason == "raised" and self._compiles < self._recycle_after
            total_s = time.monotonic() - started
            return CompileResult(target, _classified(failure, timeout_s), {"total": total_s}, dict(self._versions))
        finally:
            if not reusable:  # lost, worn out, or interrupted in the middle of an answer
                self._end()

    @staticmethod
    def _succeeded(target: str, reply: dict[str, Any], dump: Dump, total_s: float) -> CompileResult:
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

    def _ensure(self) -> WorkerProcess:
        if self._closed:
            raise UsageError("CompileService is a context manager: use it in a `with` statement")
        if self._worker is not None and self._worker.alive:
            return self._worker
        self._end()
        self.starts += 1
        self._compiles = 0
        worker = WorkerProcess(self._python, "compiler", environment=_ENVIRONMENT, limits=self._limits)
        try:
            reply, _ = worker.ask({"op": "versions"}, timeout_s=START_TIMEOUT_S)
        except WorkerFailure as failure:
            worker.close()
            raise _missing(self._python, failure.detail.splitlines()[-1]) from failure
        self._versions = reply["versions"]
        if self._versions.get("libtpu") is None:
            worker.close()
            raise _missing(self._python, "no libtpu in it")
        self._worker = worker
        return worker

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _classified(failure: WorkerFailure, timeout_s: float) -> Failure:
    """The class of whatever went wrong: an error of the compiler, or the loss of its process."""
    if failure.reason == "raised":
        error = failure.error
        return failures.classify(error["type"], error["message"], error["traceback"])
    if failure.reason == "timeout":
        return failures.classify("timeout", f"no schedule after {timeout_s:g} s")
    if failure.reason == "memory":
        return failures.classify("crash", f"the compiler used too much memory: {failure.detail}")
    return failures.classify("crash", failures.last_words(failure.detail))


def _missing(python: Path, why: str) -> Missing:
    return Missing(
        f"the TPU compiler does not start with {python}: {why}",
        hint="install jax and libtpu into that interpreter: pip install 'kernel-cairn[tpu]'",
    )
