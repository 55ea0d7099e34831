"""Role `replay`: carries out the very program that is compiled and priced, in NumPy and XLA on the CPU.

It sees serialised programs (`jax.export`), never a variant's Python. A variant that computes one thing in the
interpreter and lowers another is caught because this process only has what was lowered. What it does not protect
against is written in docs/replay.md: the chip's own arithmetic, its timing, and faults of the compiler.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import arrays  # type: ignore[import-not-found]
from stablehlo_program import ReplayProgram  # type: ignore[import-not-found]

Reply = tuple[dict[str, Any], list[bytes]]
_KEPT_PROGRAMS = 32  # a problem's shapes, times a variant and the baseline, with room for the next variant
_programs: OrderedDict[str, ReplayProgram] = OrderedDict()


def handle(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Answer `run` (a program and its inputs), `inspect` or `constants` (a program).

    Raises:
        Unreplayable: something in the program is not known here; nothing is guessed.
        OutOfBounds, Stuck: the program does what no chip can do.
    """
    return {"run": _run, "inspect": _inspect, "constants": _constants}[header["op"]](header, blobs)


def _run(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    text, *inputs = blobs
    program, given = _program(text), arrays.unpack(header["inputs"], inputs)
    sample = header.get("sample")
    if sample is None:
        outputs, covered = program.run(given), []
    else:
        outputs, covered = program.run_sample(given, sample["cells"], sample["seed"])
    specs, output_blobs = arrays.pack(outputs)
    _, covered_blobs = arrays.pack(covered)
    return {"outputs": specs}, [*output_blobs, *covered_blobs]


def _inspect(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    from stablehlo_facts import facts_of  # type: ignore[import-not-found]

    return {"facts": facts_of(blobs[0], header["platform"])}, []


def _constants(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    from stablehlo_facts import constants_of

    specs, contents = arrays.pack(constants_of(blobs[0], header["platform"], set(header["sizes"])))
    return {"constants": specs}, contents


def _program(text: bytes) -> ReplayProgram:
    """The program, decoded once: a judgement asks for the same one with several inputs."""
    key = hashlib.sha256(text).hexdigest()
    if key not in _programs:
        _programs[key] = ReplayProgram(text)
        while len(_programs) > _KEPT_PROGRAMS:
            _programs.popitem(last=False)
    _programs.move_to_end(key)
    return _programs[key]
