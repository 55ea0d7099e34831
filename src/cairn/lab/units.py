"""The matrix units as queues: a multiply takes its interval, a result its latency, and a pop waits for it.

Cross-lane and transcendental units are not queued here: the compiler spaces their users by latency itself, and the
published ablation puts their gain below the model's resolution. Their operations still cost their bundles.

State is kept relative to now, so a step that meets the same state again costs a look-up: long loops run fast
without a guess about their period.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cairn.lab.bundles import Program
from cairn.lab.chip import Chip
from cairn.lab.operations import Operation

_MAX_MEMORY = 200_000
UnitState = tuple[tuple[int, int, tuple[int, ...]], ...]  # per unit: multiply free, push free, ready times


class QueueMismatch(Exception):
    """A result was taken that no multiply made: the queue model has misread the program."""


@dataclass(frozen=True)
class UnitEvent:
    """`kind`: push, multiply or pop. `results`: registers a multiply yields. Cycles as the chip's table has them."""

    kind: str
    unit: int
    interval: int = 0
    results: int = 0
    latches: bool = False


def unit_event(operation: Operation, chip: Chip) -> UnitEvent | None:
    """What an operation does to a matrix unit; None when nothing."""
    opcode = operation.opcode
    _, found, number = opcode.rpartition(".mxu")
    if not found or not number.isdigit():
        return None
    unit = int(number)
    if opcode.startswith("vpop"):
        return UnitEvent("pop", unit)
    if opcode.startswith("vmatpush"):
        return UnitEvent(
            "push", unit, chip.matpush_interval_cycles["transposed" if "xpose" in opcode else "plain"]
        )
    if not opcode.startswith("vmatmul"):
        return None
    narrow = ".f32" in opcode or ".lmr" in opcode
    interval = chip.matmul_interval_cycles["f32" if narrow else "bf16" if "bf16" in opcode else "other"]
    results = (1 if narrow else 2) * chip.mxu_lane_groups
    return UnitEvent("multiply", unit, interval, results, ".ms" in opcode and "gmr" in opcode)


def balanced(program: Program, chip: Chip) -> bool:
    """Whether the program text takes as many results from each unit as the model says are made."""
    surplus: Counter[int] = Counter()
    for operation in (op for bundle in program.bundles for op in bundle.operations):
        event = unit_event(operation, chip)
        if event is not None:
            surplus[event.unit] += event.results - (event.kind == "pop")
    return not any(surplus.values())


class MatrixUnits:
    """Time that steps spend waiting for matrix results."""

    def __init__(self, chip: Chip) -> None:
        self._latency = chip.matmul_latency_cycles
        self._fresh: UnitState = tuple((0, 0, ()) for _ in range(chip.mxu_count))
        self._memory: dict[tuple[int, UnitState], tuple[int, UnitState]] = {}
        self.state = self._fresh

    def reset(self) -> None:
        self.state = self._fresh

    @property
    def drained(self) -> bool:
        return not any(queue for _, _, queue in self.state)

    def pass_time(self, cycles: int) -> None:
        """Let time go by without operations."""
        if cycles and self.state != self._fresh:
            self.state = _later(self.state, cycles)

    def run(self, serial: int, cycles: int, events: Sequence[tuple[int, UnitEvent]]) -> int:
        """Pass a step of that many bundles; return the cycles it stood still.

        Raises:
            QueueMismatch: a pop found nothing.
        """
        if not events:
            self.pass_time(cycles)
            return 0
        key = (serial, self.state)
        known = self._memory.get(key)
        if known is None:
            known = self._simulate(cycles, events)
            if len(self._memory) < _MAX_MEMORY:
                self._memory[key] = known
        stall, self.state = known
        return stall

    def _simulate(self, cycles: int, events: Iterable[tuple[int, UnitEvent]]) -> tuple[int, UnitState]:
        units = [[multiply, push, list(queue)] for multiply, push, queue in self.state]
        stall = 0
        for offset, event in events:
            now = offset + stall
            unit = units[event.unit]
            queue: list[int] = unit[2]  # type: ignore[assignment]
            if event.kind == "pop":
                if not queue:
                    raise QueueMismatch("a result is taken from an empty queue")
                stall += max(0, queue.pop(0) - now)
            elif event.kind == "push":
                unit[1] = max(now, unit[1]) + event.interval  # type: ignore[type-var, operator]
            else:
                start: int = max(now, unit[0], unit[1] if event.latches else 0)  # type: ignore[assignment, type-var]
                unit[0] = start + event.interval
                spacing = event.interval // event.results
                queue.extend(start + self._latency + spacing * number for number in range(event.results))
        state: UnitState = tuple((unit[0], unit[1], tuple(unit[2])) for unit in units)  # type: ignore[arg-type, misc]
        return stall, _later(state, cycles + stall)


def _later(state: UnitState, cycles: int) -> UnitState:
    return tuple(
        (max(0, multiply - cycles), max(0, push - cycles), tuple(max(0, ready - cycles) for ready in queue))
        for multiply, push, queue in state
    )
