"""From a function of the user's to a serialised program for one target, in a locked process of its own.

The process sees the target's device where code asks for one, and only the files that were handed to it. A program that
was lowered before from the same files, arguments and packages is taken from the cache, and no process is started.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cairn.lab import failures
from cairn.lab.cache import Cache
from cairn.lab.failures import Failure
from cairn.lab.installed import fingerprint
from cairn.lab.shapes import value_node
from cairn.lab.user_files import UserFunction
from cairn.worker_process import WORKER_FOLDER, WorkerFailure, WorkerLimits, WorkerProcess

# device kind and cores of a device, as jax's topologies say
DEVICES = {
    "tpu-v4": ("TPU v4", 2),
    "tpu-v5e": ("TPU v5 lite", 1),
    "tpu-v5p": ("TPU v5", 2),
    "tpu-v6e": ("TPU v6 lite", 1),
    "tpu7x": ("TPU7x", 1),
}
_MEMORY_BYTES = 8 * 2**30
_ROLE_FILES = ("user.py", "user_arguments.py", "user_source.py", "seen_as.py")


@dataclass(frozen=True)
class Request:
    """How a function is to be called.

    Attributes:
        settings: keyword arguments, or fields of the module's `Config`.
        call: the arguments (`cairn.lab.shapes`), None when a hook or the function itself gives them.
        hook: name of a function of the same module that makes the arguments.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    call: Mapping[str, Any] | None = None
    hook: str | None = None

    def as_header(self) -> dict[str, Any]:
        """As the process wants it; a setting stands above a keyword argument of the same name."""
        settings = {name: value_node(value) for name, value in self.settings.items()}
        call = self.call
        if call is not None:
            keyword = {name: node for name, node in call["keyword"].items() if name not in settings}
            call = {**call, "keyword": keyword}
        return {"settings": settings, "call": call, "hook": self.hook}


class Lowerer:
    """Context manager round the locked process of one function for one target; starts when it is first needed.

    Args:
        python: interpreter that has jax.
        function: the function and its files.
        target: a chip of `DEVICES`.
        cache: where programs are kept; None for nowhere.
        timeout_s: for importing the module, and for each lowering.
    """

    def __init__(
        self,
        python: Path,
        function: UserFunction,
        target: str,
        *,
        cache: Cache | None = None,
        timeout_s: float = 300.0,
    ) -> None:
        self._python = python
        self._function = function
        self._device = DEVICES[target]
        self._cache = cache
        self._timeout_s = timeout_s
        self._worker: WorkerProcess | None = None

    def __enter__(self) -> "Lowerer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; a later request starts another."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def lower(self, request: Request, *, locations: bool = False) -> bytes | Failure:
        """The serialised program, or why there is none.

        Args:
            request: how the function is called.
            locations: keep source lines in the program; equal programs of other files then differ.

        Raises:
            Missing: the interpreter is not there.
        """
        known = self.known(request, locations=locations)
        if known is not None:
            return known
        header = self._header(request, locations)
        try:
            _, blobs = self.ask(header)
        except WorkerFailure as failure:
            return failure_of(failure, self._timeout_s)
        if len(blobs) != 1:
            return failures.classify("crash", "the process gave no program")
        if self._cache is not None:
            self._cache.put(self._key(header), blobs[0])
        return blobs[0]

    def known(self, request: Request, *, locations: bool = False) -> bytes | None:
        """The program, if the cache has it."""
        return None if self._cache is None else self._cache.get(self._key(self._header(request, locations)))

    @staticmethod
    def _header(request: Request, locations: bool) -> dict[str, Any]:
        return {"op": "export", **request.as_header(), "locations": locations}

    def ask(
        self, header: Mapping[str, Any], blobs: Sequence[bytes] = (), *, timeout_s: float | None = None
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request to the loaded function's process.

        Raises:
            WorkerFailure: the module does not import, or the request failed.
        """
        worker = self._loaded()
        try:
            return worker.ask(dict(header), blobs, timeout_s=timeout_s or self._timeout_s)
        finally:
            if not worker.alive:
                self.close()

    def _loaded(self) -> WorkerProcess:
        if self._worker is not None:
            return self._worker
        function = self._function
        worker = WorkerProcess(self._python, "user", limits=WorkerLimits(memory_bytes=_MEMORY_BYTES))
        header = {
            "op": "load",
            "roots": list(function.roots),
            "files": [{"root": root, "path": path} for root, path, _ in function.files],
            "module": function.module,
            "file": function.file,
            "function": function.function,
            "device": {"kind": self._device[0], "cores": self._device[1]},
        }
        try:
            worker.ask(header, [content for _, _, content in function.files], timeout_s=self._timeout_s)
        except WorkerFailure:
            worker.close()
            raise
        self._worker = worker
        return worker

    def _key(self, header: Mapping[str, Any]) -> str:
        """Digest of everything that decides the program; what the interpreter has installed is part of it."""
        function = self._function
        digest = hashlib.sha256()
        for name in _ROLE_FILES:
            digest.update((WORKER_FOLDER / name).read_bytes())
        facts = [header, function.module, function.file, function.function, function.roots, self._device]
        digest.update(json.dumps([*facts, fingerprint(self._python)], sort_keys=True, default=str).encode())
        for root, path, content in function.files:
            digest.update(f"\0{root}/{path}\0".encode() + hashlib.sha256(content).digest())
        return digest.hexdigest()


def failure_of(failure: WorkerFailure, timeout_s: float) -> Failure:
    """The class of what went wrong while a function was loaded, lowered or run."""
    if failure.reason == "raised":
        error = failure.error
        return failures.classify(error["type"], error["message"], error["traceback"])
    if failure.reason == "timeout":
        return failures.classify("timeout", f"the function was not lowered within {timeout_s:g} s")
    what = "the process used too much memory" if failure.reason == "memory" else "the function's process ended"
    return failures.classify("crash", f"{what}: {failures.last_words(failure.detail)}")
