"""The matrix units as queues: a multiply takes its interval, a result its latency, and a pop waits for it.

Cross-lane and transcendental units are not queued here: the compiler spaces their users by latency itself, and the
published ablation puts their gain below the model's resolution. Their operations still cost their bundles.

Results come out in order, or, where the text names a place in a result buffer, from that place. The compiler does
not pad a pop that waits, so chains of small dependent multiplies are mostly stall: the result latency is real.

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
Ready = tuple[int, int]  # place in the result buffer (-1: in order), cycles until it is there
UnitState = tuple[tuple[int, int, tuple[Ready, ...]], ...]  # per unit: multiply free, push free, results
_IN_ORDER = -1
_RESULTS = {"f32": 1, "bf16": 2, "other": 4}  # registers of 32-bit results from one packed operand register


class QueueMismatch(Exception):
    """A result was taken that no multiply made: the queue model has misread the program."""


@dataclass(frozen=True)
class UnitEvent:
    """`kind`: push, multiply or pop. `results`: registers a multiply yields. Cycles as the chip's table has them.

    `latches`: the multiply takes over the weights that were pushed. `place`: where in the result buffer.
    """

    kind: str
    unit: int
    interval: int = 0
    results: int = 0
    latches: bool = False
    place: int = _IN_ORDER


def unit_event(operation: Operation, chip: Chip) -> UnitEvent | None:
    """What an operation does to a matrix unit; None when nothing."""
    opcode = operation.opcode
    _, found, number = opcode.rpartition(".mxu")
    if not found or not number.isdigit():
        return None
    unit = int(number)
    place = _IN_ORDER if operation.slot is None else operation.slot
    if opcode.startswith("vpop"):
        return UnitEvent("pop", unit, place=place)
    if opcode.startswith("vmatpush"):
        return UnitEvent(
            "push", unit, chip.matpush_interval_cycles["transposed" if "xpose" in opcode else "plain"]
        )
    if not opcode.startswith("vmatmul"):
        return None
    kind = "f32" if ".f32" in opcode or ".lmr" in opcode else "bf16" if ".bf16" in opcode else "other"
    interval = chip.matmul_interval_cycles[kind]
    results = _RESULTS[kind] * chip.mxu_lane_groups
    return UnitEvent("multiply", unit, interval, results, ".ms" in opcode and "gmr" in opcode, place)


def balanced(program: Program, chip: Chip) -> bool:
    """Whether the program text takes as many results from each unit as the model says are made.

    Results with a place may be accumulated before they are taken, so they are not counted.
    """
    surplus: Counter[int] = Counter()
    for operation in (op for bundle in program.bundles for op in bundle.operations):
        event = unit_event(operation, chip)
        if event is not None and event.place == _IN_ORDER:
            surplus[event.unit] += event.results - (event.kind == "pop")
    return not any(surplus.values())


class MatrixUnits:
    """Time that steps spend waiting for matrix results. With `remembers` off every step is simulated anew."""

    def __init__(self, chip: Chip, *, remembers: bool = True) -> None:
        self._max_memory = _MAX_MEMORY if remembers else 0
        self._latency = chip.matmul_latency_cycles
        self._fresh: UnitState = tuple((0, 0, ()) for _ in range(chip.mxu_count))
        self._memory: dict[tuple[int, UnitState], tuple[int, UnitState]] = {}
        self.state = self._fresh

    def reset(self) -> None:
        self.state = self._fresh

    @property
    def drained(self) -> bool:
        """Nothing that comes out in order is left."""
        return not any(place == _IN_ORDER for _, _, queue in self.state for place, _ in queue)

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
            if len(self._memory) < self._max_memory:
                self._memory[key] = known
        stall, self.state = known
        return stall

    def _simulate(self, cycles: int, events: Iterable[tuple[int, UnitEvent]]) -> tuple[int, UnitState]:
        units = [_Unit(*unit) for unit in self.state]
        stall = 0
        for offset, event in events:
            now = offset + stall
            unit = units[event.unit]
            if event.kind == "pop":
                stall += max(0, unit.take(event.place) - now)
            elif event.kind == "push":
                unit.push_free = max(now, unit.push_free) + event.interval
            else:
                unit.multiply(now, event, self._latency)
        state = tuple((unit.multiply_free, unit.push_free, tuple(unit.results)) for unit in units)
        return stall, _later(state, cycles + stall)


class _Unit:
    """One matrix unit while a step is simulated; times count from the step's start."""

    def __init__(self, multiply_free: int, push_free: int, results: Iterable[Ready]) -> None:
        self.multiply_free = multiply_free
        self.push_free = push_free
        self.results = list(results)

    def multiply(self, now: int, event: UnitEvent, latency: int) -> None:
        start = max(now, self.multiply_free, self.push_free if event.latches else 0)
        self.multiply_free = start + event.interval
        spacing = event.interval // event.results
        for number in range(event.results):
            ready = start + latency + spacing * number
            if event.place == _IN_ORDER:
                self.results.append((_IN_ORDER, ready))
            else:
                place = event.place + number
                self.results = [result for result in self.results if result[0] != place]
                self.results.append((place, ready))

    def take(self, place: int) -> int:
        """When a result is there.

        Raises:
            QueueMismatch: nothing was made that could come out in order.
        """
        for index, (where, ready) in enumerate(self.results):
            if where == place:
                del self.results[index]
                return ready
        if place == _IN_ORDER:
            raise QueueMismatch("a result is taken from an empty queue")
        return 0  # made long ago


def _later(state: UnitState, cycles: int) -> UnitState:
    """The same state seen from later; what has a place and is there already is forgotten."""
    return tuple(
        (
            max(0, multiply - cycles),
            max(0, push - cycles),
            tuple(
                (place, max(0, ready - cycles)) for place, ready in queue if place == _IN_ORDER or ready > cycles
            ),
        )
        for multiply, push, queue in state
    )
