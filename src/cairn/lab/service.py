"""The real TPU compiler as a service: one warm, killable process that turns an exported program into its schedule.

A compile may take minutes, eat gigabytes or abort the process, and each of these is a result about the kernel,
not an error of the judge: `CompileService.compile` answers with a classified `Failure`, ends the process and
starts a fresh one for the next call. The child gets an environment built from nothing and a private directory.

What this does not protect against: a malicious program that takes over the compiler. It runs with the judge's
user rights; only serialised programs, never a variant's Python, are handed to it.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from cairn.errors import UsageError
from cairn.lab import dumps, failures, stored
from cairn.lab.cache import Cache
from cairn.lab.chip import TARGETS
from cairn.lab.dumps import Dump
from cairn.lab.failures import Failure
from cairn.lab.installed import lacking, missing_compiler, unknown_dump, untried, versions_of
from cairn.lab.stored import CompileResult as CompileResult
from cairn.lab.stored import Given
from cairn.roofline import chips
from cairn.worker_process import WorkerFailure, WorkerLimits, WorkerProcess

START_TIMEOUT_S = 120.0
MAX_RSS_BYTES = 12 * 1024**3
RECYCLE_AFTER = 200  # the process grows by a few megabytes a compile; 0.6-2 GB each
_DUMP_FOLDER = "dump"  # below the worker's own folder, which bounds it and is removed with it
_FLAGS = dumps.DUMP_FLAGS.format(directory=_DUMP_FOLDER)
_DUMPER = "llo_dumper.cc"  # where libtpu 0.0.34 aborts: it looks for a file that it does not bring along
_UNKNOWN_FLAG = "Unknown command line flag"
# The accelerator type satisfies libtpu's start; it binds no target.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


class CompileService:
    """Context manager round the compiler process; starts on the first compile, restarts after a loss.

    Args:
        python: interpreter that has jax and libtpu.
        cache: where lasting answers are kept; None for nowhere.
        max_rss_bytes: resident memory at which the process is ended.
        recycle_after: compiles after which a fresh process is started.
    """

    def __init__(
        self,
        python: Path,
        *,
        cache: Cache | None = None,
        max_rss_bytes: int = MAX_RSS_BYTES,
        recycle_after: int = RECYCLE_AFTER,
    ) -> None:
        self._python = python
        self._cache = cache
        self._limits = WorkerLimits(memory_bytes=max_rss_bytes)
        self._recycle_after = recycle_after
        self._worker: WorkerProcess | None = None
        self._compiles = 0
        self._flags = f"{_FLAGS} {dumps.LOCATION_FLAG}"
        self._closed = True
        self._greeted = False
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
        """Versions of jax, jaxlib and libtpu in the compiler's interpreter; starts no process that could stay.

        Raises:
            Missing: the interpreter is not there, or has no jax or libtpu.
        """
        for name in lacking(self._python):
            raise missing_compiler(self._python, f"no {name} in it")
        return versions_of(self._python)

    def prepare(self) -> None:
        """Start the process without waiting for it, so that the first compile finds it warm.

        Raises:
            Missing: the compiler cannot be started at all.
        """
        self._ensure()

    def compile(
        self, exported: bytes, target: str, timeout_s: float, given: Sequence[Given] = ()
    ) -> CompileResult:
        """Compile a serialised `jax.export` for a target; a failure of any kind is part of the result.

        Args:
            exported: the serialised program.
            target: a chip that has a topology and a table.
            timeout_s: wall-clock limit; the process is ended when it is exceeded.
            given: integer inputs to be taken as known; what fits the types of the program's inputs is used.

        Raises:
            UsageError: the target is unknown.
            Missing: the compiler cannot be started at all, or its dumps are of an unknown form.
        """
        key = self.key(exported, target, given)
        known = self._recall(key)
        if known is not None:
            return known
        result = self._compile(exported, target, timeout_s, given)
        if self._cache is not None and self.repeats(result):
            self._cache.put(key, stored.encode(result))
        return result

    def repeats(self, result: CompileResult) -> bool:
        """Whether the same question would be answered the same again: it depends on nothing that `key` leaves out."""
        return stored.lasting(result) and result.versions == self.versions()

    def key(self, exported: bytes, target: str, given: Sequence[Given] = ()) -> str:
        """Digest of everything that decides the answer to this question.

        Raises:
            UsageError: the target is unknown.
            Missing: the compiler is not there.
        """
        if target not in TARGETS:
            raise UsageError(f"unknown target {target!r}", hint=f"one of {', '.join(TARGETS)}")
        topology = chips()[target].topology
        assert topology is not None
        return stored.key_of(exported, topology, self.versions(), self._flags, given)

    def _recall(self, key: str) -> CompileResult | None:
        if self._cache is None:
            return None
        data = self._cache.get(key)
        result = None if data is None else stored.decode(data)
        if data is not None and result is None:
            self._cache.drop(key)
        return result

    def _compile(self, exported: bytes, target: str, timeout_s: float, given: Sequence[Given]) -> CompileResult:
        worker = self._started()
        folder = worker.folder / _DUMP_FOLDER
        reusable = False
        started = time.monotonic()
        self._compiles += 1
        try:
            dumps.empty(folder)
            header = {"op": "compile", "topology": chips()[target].topology, "given": msgspec.to_builtins(given)}
            reply, _ = worker.ask(header, [exported], timeout_s=timeout_s)
            dump = dumps.read(folder)
            if not (dump.hlo or dump.bundles or dump.truncated):
                raise unknown_dump(reply["versions"], "names its dumps in no known way")
            result = self._succeeded(target, reply, dump, time.monotonic() - started)
            dumps.empty(folder)
            reusable = self._compiles < self._recycle_after
            return result
        except WorkerFailure as failure:
            if _DUMPER in failure.detail and untried(self.versions()):
                raise unknown_dump(self.versions(), "dies while it writes its dump") from failure
            if self._without_location_flag(failure):
                self._end()
                return self._compile(exported, target, timeout_s, given)
            reusable = failure.reason == "raised" and self._compiles < self._recycle_after
            total_s = time.monotonic() - started
            return CompileResult(target, _classified(failure, timeout_s), {"total": total_s}, self.versions())
        finally:
            if not reusable:  # lost, worn out, or interrupted in the middle of an answer
                self._end()

    def _without_location_flag(self, failure: WorkerFailure) -> bool:
        """A compiler of another version may not know the flag; then there are no source lines, but all the rest."""
        if _UNKNOWN_FLAG not in failure.detail or self._flags == _FLAGS:
            return False
        self._flags = _FLAGS
        return True

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
            known=tuple(reply["known"]),
            dump=dump,
        )

    def _ensure(self) -> WorkerProcess:
        if self._closed:
            raise UsageError("CompileService is a context manager: use it in a `with` statement")
        if self._worker is not None and self._worker.alive:
            return self._worker
        self._end()
        self.versions()
        self.starts += 1
        self._compiles = 0
        environment = {**_ENVIRONMENT, "LIBTPU_INIT_ARGS": self._flags}
        self._worker = WorkerProcess(self._python, "compiler", environment=environment, limits=self._limits)
        self._greeted = False
        return self._worker

    def _started(self) -> WorkerProcess:
        """The process, once it has answered for the first time: its start is not part of anybody's compile."""
        worker = self._ensure()
        if not self._greeted:
            try:
                worker.ask({"op": "versions"}, timeout_s=START_TIMEOUT_S)
            except WorkerFailure as failure:
                self._end()
                raise missing_compiler(self._python, failure.detail.splitlines()[-1]) from failure
            self._greeted = True
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
