"""Time of a whole scheduled program: kernels and fusions by their bundles, the rest by bytes, loops by trip count.

Two ways to a number, and the result says how much came from which: `simulated` (the instruction's own bundles) and
`by_bytes` (no program that can be followed, but only data movement and elementwise work: bytes over bandwidth).
A Pallas kernel, a contraction or a library call that cannot be followed is a refusal; so is a loop without a known
trip count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cairn.lab.chip import Chip
from cairn.lab.hlo import Computation, Instruction, Module
from cairn.lab.kernels import Kernels
from cairn.lab.known import KERNEL, KnownOperands
from cairn.lab.loops import Loop, Scalars
from cairn.lab.simulate import Run
from cairn.lab.twins import Twins

_FREE = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "partition-id",
    "replica-id",
    "opt-barrier",
    "add-dependency",
}
_FREE_CALLS = {
    *("AllocateBuffer", "Sharding", "AssumeGatherIndicesInBound", "ConcatBitcast", "NopReturnToken"),
    *("PrepareAsyncCallStart", "PrepareAsyncCallDone"),  # of work on the SparseCore, as older compilers write it
}
_COLLECTIVES = ("all-", "reduce-scatter", "collective-", "send", "recv", "infeed", "outfeed")
# Memory-bound whatever their schedule: moving, reordering and elementwise work. Nothing else is costed by bytes.
_BY_BYTES = {
    *("copy", "reshape", "transpose", "broadcast", "iota", "concatenate", "pad", "reverse", "fusion", "convert"),
    *("slice", "dynamic-slice", "dynamic-update-slice", "select", "compare", "clamp", "reduce", "bitcast-convert"),
    *("add", "subtract", "multiply", "divide", "maximum", "minimum", "negate", "abs", "and", "or", "not", "xor"),
    *("exponential", "log", "tanh", "sqrt", "rsqrt", "logistic", "power", "sign", "floor", "ceil", "is-finite"),
    *("exponential-minus-one", "log-plus-one", "round-nearest-even", "remainder", "get-dimension-size"),
}
_COPIES = ("copy", "slice", "dynamic-slice", "dynamic-update-slice")
_COPIES_START = tuple(f"{kind}-start" for kind in _COPIES)
_COPIES_DONE = tuple(f"{kind}-done" for kind in _COPIES)
_ELSEWHERE_START = ("custom-call-start", "call-start")  # begun on the SparseCore; the data comes with the update
_ELSEWHERE_UPDATE = ("custom-call-update", "call-update")
_ELSEWHERE_DONE = ("custom-call-done", "call-done")
_SMALL_BYTES = 4096
_MOST_UNEVEN_TRIPS = 128  # of a loop whose iterations differ, so that each is walked
_MAX_NESTING = 16
_CALL = re.compile(r"^ *(0x[0-9a-f]+) .*= inlined_call ", re.MULTILINE)


class Refused(Exception):
    """There is no number for this program, and why."""


@dataclass
class Split:
    """Where simulated microseconds went."""

    issue_us: float = 0.0
    mxu_stall_us: float = 0.0
    unit_stall_us: float = 0.0
    dma_wait_us: float = 0.0

    @property
    def total_us(self) -> float:
        return self.issue_us + self.mxu_stall_us + self.unit_stall_us + self.dma_wait_us

    def add(self, other: "Split", weight: float) -> None:
        self.issue_us += weight * other.issue_us
        self.mxu_stall_us += weight * other.mxu_stall_us
        self.unit_stall_us += weight * other.unit_stall_us
        self.dma_wait_us += weight * other.dma_wait_us


@dataclass
class Times:
    """Microseconds by cause, and counts; of one execution of the program.

    `mxu_busy_us` counts a matrix unit's own time, averaged over the units.
    """

    kernels: Split = field(default_factory=Split)
    fusions: Split = field(default_factory=Split)
    by_bytes_us: float = 0.0
    copies_us: float = 0.0
    overhead_us: float = 0.0
    mxu_busy_us: float = 0.0
    hbm_bytes: float = 0.0
    bundles: float = 0.0
    spills: float = 0.0
    fills: float = 0.0
    unresolved: set[str] = field(default_factory=set)


class Schedule:
    """Walks a module in schedule order."""

    def __init__(self, module: Module, kernels: Kernels, known: KnownOperands, top_level: str, chip: Chip) -> None:
        self._known = known
        self._module = module
        self._kernels = kernels
        self._twins = Twins(module, kernels)
        self._chip = chip
        self._call_us = _cycles_per_call(top_level) / chip.cycles_per_us
        self._clock = 0.0  # of what was walked: iterations that are only counted do not advance it
        self._pending: list[tuple[str, str, float]] = []  # copies under way: instruction, kind, arrival
        self._channel_free = 0.0
        self._elsewhere: dict[str, float] = {}  # work on the SparseCore: instruction, when it is done
        self.times = Times()

    def total_us(self) -> float:
        """Time of the entry computation.

        Raises:
            Refused: something in it cannot be costed.
        """
        return self._walk(self._module.entry, Scalars(self._module.entry), 1.0)

    def _walk(self, computation: Computation, scalars: Scalars, weight: float) -> float:
        """Elapsed time of one pass; counts go in with `weight`."""
        elapsed = 0.0
        for instruction in computation.instructions:
            elapsed += self._instruction(instruction, computation, scalars, weight)
        return elapsed

    def _instruction(
        self, instruction: Instruction, computation: Computation, scalars: Scalars, weight: float
    ) -> float:
        opcode = instruction.opcode
        if opcode in _FREE or instruction.attribute("custom_call_target") in _FREE_CALLS:
            return 0.0
        if opcode == "while":
            return self._loop(instruction, computation, scalars, weight)
        if opcode == "call":
            callee = self._module.computations[instruction.attribute("to_apply") or ""]
            return self._walk(callee, Scalars(callee), weight)
        if opcode == "conditional" or opcode.startswith(_COLLECTIVES):
            raise Refused(f"{opcode} is not modelled ({instruction.name})")
        if opcode in _COPIES_START:
            return self._begin_copy(instruction, computation, weight)
        if opcode in _ELSEWHERE_START + _ELSEWHERE_UPDATE:
            return self._begin_elsewhere(instruction, weight)
        spent = (
            self._await_copy(instruction, weight)
            if opcode in _COPIES_DONE
            else self._await_elsewhere(instruction, weight)
            if opcode in _ELSEWHERE_DONE
            else self._work(instruction, computation, scalars, weight)
        )
        self._clock += spent
        return spent

    # Loops -------------------------------------------------------------------------------------------------------

    def _loop(self, instruction: Instruction, outer: Computation, scalars: Scalars, weight: float) -> float:
        """First, second and last iteration are walked; those between are like the second, or are walked too."""
        loop = Loop(self._module, instruction, outer, scalars)
        trips = loop.trips()
        if trips is None:
            raise Refused(f"the trip count of {instruction.name} does not follow from the program")
        uneven = loop.uneven(lambda inner: inner.attribute("custom_call_target") == KERNEL)
        if uneven and trips > _MOST_UNEVEN_TRIPS:
            raise Refused(f"what {instruction.name} does differs between its {trips} iterations")
        total_us = 0.0
        for iteration, times in ((each, 1) for each in range(trips)) if uneven else _representatives(trips):
            total_us += times * self._walk(loop.body, loop.scalars(iteration), weight * times)
        return total_us

    # Copies ------------------------------------------------------------------------------------------------------

    def _begin_copy(self, instruction: Instruction, computation: Computation, weight: float) -> float:
        size_bytes = _moved_bytes(instruction, computation)
        per_us = self._chip.hbm_gb_per_s * 1000.0
        self._channel_free = max(self._clock, self._channel_free) + size_bytes / per_us
        kind = instruction.opcode.removesuffix("-start")
        self._pending.append((instruction.name, kind, self._channel_free + self._chip.dma_in_latency_ns / 1000.0))
        self.times.hbm_bytes += weight * size_bytes
        return 0.0

    def _await_copy(self, instruction: Instruction, weight: float) -> float:
        """Wait for the copy of that name, else - begun in the iteration before - for the oldest of its kind."""
        kind = instruction.opcode.removesuffix("-done")
        named = [copy for copy in self._pending if copy[0] in instruction.operands]
        alike = [copy for copy in self._pending if copy[1] == kind]
        if not named and not alike:
            raise Refused(f"{instruction.name} waits for a copy that was not seen to start")
        awaited = (named or alike)[0]
        self._pending.remove(awaited)
        waited = max(0.0, awaited[2] - self._clock)
        self.times.copies_us += weight * waited
        return waited

    # Other cores -------------------------------------------------------------------------------------------------

    def _begin_elsewhere(self, instruction: Instruction, weight: float) -> float:
        """Reordering on the SparseCore: what it reads and writes at the memory's rate, beside everything else.

        It takes at least that long, so what is awaited of it counts as `by bytes`.
        """
        if 'async_execution_thread="sparsecore"' not in instruction.attributes:
            source = [copy for copy in self._elsewhere if copy in instruction.operands]
            if not source:
                raise Refused(f"{instruction.opcode} {instruction.name} is not modelled")
        size_bytes = sum(shape.size_bytes for shape in instruction.shapes if shape.space == 0 and shape.dims)
        us = size_bytes / (self._chip.hbm_gb_per_s * 1000.0)
        self._elsewhere[instruction.name] = self._clock + us + self._chip.dma_in_latency_ns / 1000.0
        self.times.hbm_bytes += weight * size_bytes
        return 0.0

    def _await_elsewhere(self, instruction: Instruction, weight: float) -> float:
        arrivals = [self._elsewhere[name] for name in instruction.operands if name in self._elsewhere]
        if not arrivals:
            raise Refused(f"{instruction.name} waits for work that was not seen to start")
        waited = max(0.0, max(arrivals) - self._clock)
        self.times.by_bytes_us += weight * waited
        self.times.unresolved.add(f"{instruction.name}: it runs on the SparseCore")
        return waited

    # Work --------------------------------------------------------------------------------------------------------

    def _work(self, instruction: Instruction, computation: Computation, scalars: Scalars, weight: float) -> float:
        is_kernel = instruction.attribute("custom_call_target") == KERNEL
        name = self._twins.find(instruction, computation)
        if name is not None:
            known: dict[int, tuple[int, ...]] = {
                number: (value,)
                for number, name in enumerate(instruction.operands)
                if (value := scalars.value(name)) is not None
            }
            known |= self._known.of(instruction)
            run = self._kernels.run(name, known)
            if run.refused is None:
                return self._simulated(run, weight, is_kernel=is_kernel)
            if is_kernel or not _memory_bound(instruction, self._module):
                raise Refused(f"{instruction.opcode} {instruction.name}: {run.refused}")
            self.times.unresolved.add(f"{instruction.name}: {run.refused}")
        return self._by_bytes(instruction, computation, weight)

    def _simulated(self, run: Run, weight: float, *, is_kernel: bool) -> float:
        times, per_us = self.times, self._chip.cycles_per_us
        split = times.kernels if is_kernel else times.fusions
        per_core_us = per_us / self._chip.slowing(run.mxu_busy_cycles / max(1, run.cycles))
        parts = Split(
            run.bundles / per_core_us,
            run.mxu_stall_cycles / per_core_us,
            run.unit_stall_cycles / per_core_us,
            run.dma_wait_cycles / per_us,
        )
        split.add(parts, weight)
        times.mxu_busy_us += weight * run.mxu_busy_cycles / per_us
        times.overhead_us += weight * self._call_us
        times.hbm_bytes += weight * run.hbm_bytes
        times.bundles += weight * run.bundles
        times.spills += weight * run.spills
        times.fills += weight * run.fills
        return parts.total_us + self._call_us

    def _by_bytes(self, instruction: Instruction, computation: Computation, weight: float) -> float:
        if not _memory_bound(instruction, self._module):
            raise Refused(f"{instruction.opcode} {instruction.name} has no schedule in the dump")
        size_bytes = _moved_bytes(instruction, computation)
        if size_bytes <= _SMALL_BYTES:
            return 0.0  # part of the top-level program
        us = size_bytes / (self._chip.hbm_gb_per_s * 1000.0)
        self.times.by_bytes_us += weight * us
        self.times.hbm_bytes += weight * size_bytes
        self.times.overhead_us += weight * self._call_us
        return us + self._call_us


def _representatives(trips: int) -> Iterator[tuple[int, int]]:
    """Iterations to look at, and how many each stands for."""
    if trips <= 3:
        yield from ((iteration, 1) for iteration in range(trips))
    else:
        yield from ((0, 1), (1, trips - 2), (trips - 1, 1))


def _moved_bytes(instruction: Instruction, computation: Computation) -> int:
    """Bytes between an instruction and HBM: operands and results that lie there, each once."""
    if instruction.opcode.endswith("-start"):  # source, destination and a flag: the smaller array is what moves
        return min((shape.size_bytes for shape in instruction.shapes if shape.dims), default=0)
    sources = [computation.find(name) for name in instruction.operands]
    if instruction.opcode == "dynamic-update-slice" and sources[1] is not None:  # in place: only the slice moves
        return 2 * sum(shape.size_bytes for shape in sources[1].shapes if shape.space == 0)
    shapes = [shape for source in sources if source is not None for shape in source.shapes]
    return sum(shape.size_bytes for shape in (*shapes, *instruction.shapes) if shape.space == 0)


def _memory_bound(instruction: Instruction, module: Module, depth: int = 0) -> bool:
    """Whether an instruction and all it fuses only moves data or works element by element."""
    if instruction.opcode in _FREE:
        return True
    if instruction.opcode not in _BY_BYTES or depth > _MAX_NESTING:
        return False
    callee = module.computations.get(instruction.attribute("calls") or "")
    return callee is None or all(_memory_bound(inner, module, depth + 1) for inner in callee.instructions)


def _cycles_per_call(top_level: str) -> float:
    """Bundles of the top-level program per call it makes: barriers, counters, addresses."""
    addresses = [int(match[1], 16) for match in _CALL.finditer(top_level)]
    return (addresses[-1] - addresses[0]) / (len(addresses) - 1) if len(addresses) > 2 else 0.0
