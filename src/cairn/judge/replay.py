"""Replay of lowered programs in a trusted process: the program that is compiled and priced is the one that is checked.

A `Replayer` gives a serialised program to a worker in which no variant's Python ever runs, and gets outputs or
facts back. What its answers do not prove stands in docs/replay.md.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.judge.asking import asked_again
from cairn.judge.correctness import Wire, decode
from cairn.judge.protocol import JudgeLimits, Specs
from cairn.worker_process import ONE_THREAD, WorkerFailure, WorkerLimits, WorkerProcess

_FAULTS = {"OutOfBounds": "out_of_bounds", "Stuck": "stuck", "AssertedFalse": "assertion"}


class Unreplayable(Exception):
    """The replay does not know something in the program, and says what. It proves nothing, for or against."""


class NotLocal(Exception):
    """The program might see what lies outside of a part of its inputs; it has to be given whole ones."""


class ReplayFault(Exception):
    """The program itself is at fault: it leaves its buffers, or waits for what never comes.

    `kind`: `out_of_bounds`, `stuck` or `assertion`.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class MatmulFacts:
    """One kind of product in a kernel: operand types, shapes and precision, and how often the grid does it.

    `precision`: `bf16` (one pass; float32 operands are rounded), `fp32` (six passes), or `exact` for integers and
    operands that are already narrow.
    """

    lhs: str
    rhs: str
    precision: str
    count: int
    flops: int


@dataclass(frozen=True)
class KernelFacts:
    """One kernel call in the lowered program.

    Attributes:
        grid: extents; -1 where an operand gives it at run time.
        operations: how often each operation stands in the kernel's text.
        flops: of its matmuls over the whole grid.
        flops_exact: False when a branch or a loop of unknown length holds a matmul.
        unread_operands: operands that the kernel never looks at.
        aliases: from an output to the operand whose memory it takes over.
        unknown_operations: what the replay does not have.
        data_branches: branches and loops that memory or floats decide. They can tell one machine's arithmetic from
            another's, and so run one path here and another on the chip.
        config: what its author tells the compiler: flags, limits, claims about cost.
        skeleton: a digest of its text without the grid and without integer constants. Equal at two shapes if only the
            number of steps differs. Another one at the priced shape is a finding; an equal one is a hint, no proof.
        unreadable: why the kernel could not be decoded, or empty; the other fields then say nothing.
    """

    name: str
    where: str
    grid: tuple[int, ...]
    operands: tuple[str, ...]
    results: tuple[str, ...]
    operations: Mapping[str, int]
    matmuls: tuple[MatmulFacts, ...]
    flops: int
    flops_exact: bool
    unread_operands: tuple[int, ...]
    aliases: Mapping[int, int]
    unknown_operations: tuple[str, ...]
    skeleton: str
    data_branches: tuple[str, ...]
    config: Mapping[str, Any]
    unreadable: str

    @property
    def replayable(self) -> bool:
        """A necessary condition only; running it may still find an attribute that is not known."""
        return not self.unreadable and not self.unknown_operations


@dataclass(frozen=True)
class ConstantFacts:
    """A constant in the program with values of its own (not one value repeated)."""

    where: str
    type: str
    bytes: int


@dataclass(frozen=True)
class ProgramFacts:
    """What was found in a lowered program.

    Attributes:
        kernels: every kernel call, in the order of the text.
        live_kernels: names of those on which an output depends.
        custom_calls: targets of all other custom calls, with their number.
        unexpected_calls: those of them that are not on the list of harmless ones.
        host_callbacks: targets or operations that talk to the host.
        unused_inputs: inputs on which no output depends.
        output_inputs: for every output, the inputs it depends on.
        constant_outputs: outputs that depend on no input.
        branches: branches outside of kernels, and loops whose length is not fixed, with what decides them.
        donated_inputs: inputs whose memory the program may overwrite.
        constants: constants of at least 64 bytes with values of their own, the 32 largest.
        constant_bytes: the size of all of these together.
        dots: products outside of kernels, as `f32 x f32 DEFAULT`, with their number.
        flat: the outputs are a tuple of arrays and nothing nested.
    """

    inputs: int
    kernels: tuple[KernelFacts, ...]
    live_kernels: tuple[str, ...]
    custom_calls: Mapping[str, int]
    unexpected_calls: tuple[str, ...]
    host_callbacks: tuple[str, ...]
    unused_inputs: tuple[int, ...]
    output_inputs: tuple[tuple[int, ...], ...]
    branches: tuple[str, ...]
    donated_inputs: tuple[int, ...]
    constants: tuple[ConstantFacts, ...]
    constant_bytes: int
    dots: Mapping[str, int]
    flat: bool

    @property
    def constant_outputs(self) -> tuple[int, ...]:
        return tuple(index for index, inputs in enumerate(self.output_inputs) if not inputs)


@dataclass(frozen=True)
class Sample:
    """Outputs of which only some blocks were computed; `covered` says which elements count, the rest is NaN."""

    outputs: list[Wire]
    covered: list[NDArray[np.bool_]]


@dataclass(frozen=True)
class Cover:
    """Where a sample lies: `held` gives its places along every axis that was asked for, None for one that does not fit.

    `masks`: which elements it computes, of the outputs cut down to these places. `share`: how much that is of the
    output of which it is the least.
    """

    held: list[list[int] | None]
    masks: list[NDArray[np.bool_]]
    share: float


Cuts = list[tuple[int, list[int]]]


@dataclass(frozen=True)
class Spread:
    """Where parts belong: for each input and output the dimensions that are cut, and the places along them."""

    inputs: list[Cuts]
    outputs: list[Cuts]


class Replayer:
    """A warm worker in the role `replay`; a process that was lost is replaced at the next request."""

    def __init__(self, python: Path, limits: JudgeLimits, worker_limits: WorkerLimits | None = None) -> None:
        self._python = python
        self._limits = limits
        self._worker_limits = worker_limits
        self._worker: WorkerProcess | None = None
        self.starts = 0

    def run(
        self, program: bytes, inputs: Specs, blobs: Sequence[bytes], timeout_s: float | None = None
    ) -> list[Wire]:
        """Outputs of a serialised program on concrete inputs, within `call_s` unless another limit is given.

        Raises:
            Unreplayable: something in it is not known.
            ReplayFault: it leaves its buffers, or waits for ever.
            WorkerFailure: no answer: too slow, too large, or the process died of it.
        """
        reply, outputs = self._ask({"op": "run", "inputs": inputs}, [program, *blobs], timeout_s)
        return _wires(reply["outputs"], outputs)

    def run_sample(self, program: bytes, inputs: Specs, blobs: Sequence[bytes], cells: int, seed: int) -> Sample:
        """Like `run`, but only `cells` steps of the kernel's parallel dimensions, chosen by `seed`.

        It makes a replay at the shape that is priced affordable. A program without a kernel, or with one that
        cannot be sampled, is run in full, and everything is covered.
        """
        header = {"op": "run", "inputs": inputs, "sample": {"cells": cells, "seed": seed}}
        reply, made = self._ask(header, [program, *blobs])
        specs = reply["outputs"]
        outputs = _wires(specs, made[: len(specs)])
        masks = [
            np.frombuffer(mask, np.bool_).reshape(output.shape)
            for output, mask in zip(outputs, made[len(specs) :], strict=True)
        ]
        return Sample(outputs, masks)

    def cover(self, program: bytes, cells: int, seed: int, axes: Sequence[tuple[int, Sequence[int]]]) -> Cover:
        """Which elements of the outputs `run_part` would compute, found out without any input.

        `axes`: sizes, and the dimension that each has in every output.

        Raises:
            NotLocal: the program has to be given whole inputs.
        """
        header = {"op": "cover", "sample": {"cells": cells, "seed": seed}, "axes": axes}
        reply, bits = self._ask(header, [program])
        masks = [
            np.unpackbits(np.frombuffer(packed, np.uint8), count=math.prod(shape)).view(np.bool_).reshape(shape)
            for shape, packed in zip(reply["shapes"], bits, strict=True)
        ]
        return Cover(reply["held"], masks, reply["share"])

    def run_part(
        self, program: bytes, inputs: Specs, blobs: Sequence[bytes], spread: Spread, cells: int, seed: int
    ) -> list[Wire]:
        """Like `run_sample`, on parts of the inputs; gives the same parts of the outputs.

        Raises:
            NotLocal: a step would have seen more than the parts.
        """
        header = {
            "op": "run_part",
            "inputs": inputs,
            "input_cuts": spread.inputs,
            "output_cuts": spread.outputs,
            "sample": {"cells": cells, "seed": seed},
        }
        reply, made = self._ask(header, [program, *blobs])
        return _wires(reply["outputs"], made)

    def inspect(self, program: bytes, platform: str = "tpu") -> ProgramFacts:
        """What stands in a serialised program for a platform; nothing of it is run.

        Raises:
            Unreplayable: it has not the form of a program for one device of that platform.
            WorkerFailure: no answer.
        """
        return _facts(self._ask({"op": "inspect", "platform": platform}, [program])[0]["facts"])

    def constants(self, program: bytes, platform: str, sizes: Set[int]) -> list[NDArray[np.float64]]:
        """The constants of a program, in its kernels and round them, that have one of these numbers of elements.

        Raises:
            Unreplayable: it cannot be read.
            WorkerFailure: no answer.
        """
        header = {"op": "constants", "platform": platform, "sizes": sorted(sizes)}
        reply, blobs = self._ask(header, [program])
        return [decode(wire) for wire in _wires(reply["constants"], blobs)]

    def load(self, program: bytes, kept: bytes = b"") -> bytes:
        """Decode a program and compile what is round its kernels, so that its first run need not.

        Gives what XLA made of it, to be `kept`; nothing for a program with kernels, or when it was kept already.

        Raises:
            Unreplayable: something in it is not known.
            WorkerFailure: no answer.
        """
        _, made = self._ask({"op": "load", "keep": not kept}, [program, kept] if kept else [program])
        return made[0] if made else b""

    def kill(self) -> None:
        """End the process from another thread; the one that waits for it sees a failure."""
        if self._worker is not None:
            self._worker.kill()

    def prepare(self) -> None:
        """Start the process without waiting for it, so that the first request finds it warm."""
        self._ready()

    def _ready(self) -> WorkerProcess:
        if self._worker is None or not self._worker.alive:
            self.close()
            self._worker = WorkerProcess(
                self._python, "replay", environment=ONE_THREAD, limits=self._worker_limits
            )
            self.starts += 1
        return self._worker

    def _ask(
        self, header: dict[str, Any], blobs: Sequence[bytes], timeout_s: float | None = None
    ) -> tuple[dict[str, Any], list[bytes]]:
        limit_s = timeout_s or self._limits.call_s
        try:
            return asked_again(lambda: self._ready().ask(header, blobs, timeout_s=limit_s), self.close)
        except WorkerFailure as failure:
            kind = failure.error.get("type", "")
            message = failure.error.get("message", failure.detail)
            if failure.reason == "raised" and kind == "Unreplayable":
                raise Unreplayable(message) from failure
            if failure.reason == "raised" and kind == "NotLocal":
                raise NotLocal(message) from failure
            if failure.reason == "raised" and kind in _FAULTS:
                raise ReplayFault(_FAULTS[kind], message) from failure
            raise

    def close(self) -> None:
        """End the worker; safe to call twice."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def __enter__(self) -> "Replayer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wires(specs: Specs, blobs: Sequence[bytes]) -> list[Wire]:
    return [Wire(spec["dtype"], tuple(spec["shape"]), blob) for spec, blob in zip(specs, blobs, strict=True)]


def _facts(said: Mapping[str, Any]) -> ProgramFacts:
    return ProgramFacts(
        inputs=said["inputs"],
        kernels=tuple(_kernel(kernel) for kernel in said["kernels"]),
        live_kernels=tuple(said["live_kernels"]),
        custom_calls=dict(said["custom_calls"]),
        unexpected_calls=tuple(said["unexpected_calls"]),
        host_callbacks=tuple(said["host_callbacks"]),
        unused_inputs=tuple(said["unused_inputs"]),
        output_inputs=tuple(tuple(inputs) for inputs in said["output_inputs"]),
        branches=tuple(said["branches"]),
        donated_inputs=tuple(said["donated_inputs"]),
        constants=tuple(ConstantFacts(**constant) for constant in said["constants"]),
        constant_bytes=said["constant_bytes"],
        dots=dict(said["dots"]),
        flat=said["flat"],
    )


def _kernel(said: Mapping[str, Any]) -> KernelFacts:
    return KernelFacts(
        name=said["name"],
        where=said["where"],
        grid=tuple(said["grid"]),
        operands=tuple(said["operands"]),
        results=tuple(said["results"]),
        operations=dict(said["operations"]),
        matmuls=tuple(MatmulFacts(**matmul) for matmul in said["matmuls"]),
        flops=sum(matmul["flops"] for matmul in said["matmuls"]),
        flops_exact=said["flops_exact"],
        unread_operands=tuple(said["unread_operands"]),
        aliases={int(output): operand for output, operand in said["aliases"].items()},
        unknown_operations=tuple(said["unknown_operations"]),
        skeleton=said["skeleton"],
        data_branches=tuple(said["data_branches"]),
        config=dict(said["config"]),
        unreadable=said["unreadable"],
    )
