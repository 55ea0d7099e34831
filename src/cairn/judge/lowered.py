"""Asking a variant's process for its program, and reading what a refusal means."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from cairn.judge.protocol import Runner, Specs
from cairn.judge.verdict import Ruling, ruling_of_failure
from cairn.lab.failures import classify
from cairn.worker_process import WorkerFailure

# classes whose hints are about Python and jax, not about a TPU and its compiler
_ANYWHERE = {"import", "captured", "traced_value", "arguments", "shape", "bounds", "dtype"}
_OF_RUN = "It is called as run(*inputs, config=...): the inputs of the problem in order, config by its name"
_FOLDER = re.compile(r"/\S*/variant/(?=[\w-]+\.py\b)")
# an operation of a chip's own, in a kernel that a processor has to interpret
_CHIP_ONLY = re.compile(r"MLIR translation rule for primitive '(\w+)' not found for platform cpu")
_DEBUGGING = {"debug_callback", "debug_print"}


def export(runner: Runner, specs: Specs, platform: str) -> bytes | Ruling:
    """A loaded variant's program, or what its refusal means."""
    try:
        return runner.export(specs, platform)
    except WorkerFailure as failure:
        return ruling_of_lowering(failure, platform)


def ruling_of_lowering(failure: WorkerFailure, platform: str) -> Ruling:
    """Errors of lowering are the compiler's, met early: the same classes, and for a TPU the same hints."""
    if failure.reason != "raised":
        return ruling_of_failure(failure, "trace_error")
    error = failure.error
    if error.get("type") == "HostCallback":
        return _ruling_of_callbacks(error.get("message", ""))
    if error.get("type") == "NotInterpreted":
        return Ruling("unreplayable", error.get("message", "")[:600])
    if platform == "cpu" and (named := _CHIP_ONLY.search(error.get("message", ""))):
        return Ruling("unreplayable", f"`{named[1]}` is for another device and has no form for a processor")
    found = classify(error.get("type", ""), error.get("message", ""), error.get("traceback", ""))
    text = without_folder(f"{found.line} ({found.source})" if found.source else found.line)
    if found.kind == "compile_error" or (platform != "tpu" and found.kind not in _ANYWHERE):
        return Ruling("trace_error", text)
    return Ruling(found.kind, f"{text}. {_OF_RUN if found.line.startswith('run() ') else found.hint}")


def without_folder(text: str) -> str:
    """A compiler's or jax's words about a variant, with its file's name instead of where it lay."""
    return _FOLDER.sub("", text)


def _ruling_of_callbacks(message: str) -> Ruling:
    """Work that Python does is nobody's kernel; a line of debugging that was left in is only in the way."""
    names = message.split(", ")
    if set(names) <= _DEBUGGING:
        return Ruling("trace_error", f"{message} calls back into Python: take it out of what is judged")
    return Ruling("host_callback", message)


def all_of(lowered: Iterable[bytes | Ruling]) -> list[bytes] | Ruling:
    """All programs, or why the first that is missing has none."""
    programs = []
    for program in lowered:
        if isinstance(program, Ruling):
            return program
        programs.append(program)
    return programs


def done_of(begun: Iterable[Future[bytes | Ruling]]) -> list[bytes]:
    """Those of the programs that are there already."""
    results = [future.result() for future in begun if future.done() and not future.cancelled()]
    return [program for program in results if isinstance(program, bytes)]


def digest_of(parts: Sequence[Any]) -> str:
    """The key under which something is remembered that all of these decide."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
