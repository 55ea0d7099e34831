"""The queued units: an operation takes its interval, a result its latency, and whoever takes a result waits for it.

Results come out in order, or, where the text names a place in a result buffer, from that place. The compiler does
not pad a pop that waits for a matrix unit, so chains of small dependent multiplies are mostly stall: the result
latency is real. Users of the cross-lane and transcendental units it does space, so they wait only where several
results stand in line, and a result without an operation (dumps of very large programs lack a few) costs nothing.

State is kept relative to now, so a step that meets the same state again costs a look-up: long loops run fast
without a guess about their period.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cairn.lab.unit_events import IN_ORDER, UnitEvent, Units

_MAX_MEMORY = 200_000
Ready = tuple[int, int]  # place in the result buffer (negative: in order), cycles until it is there
UnitState = tuple[tuple[int, int, tuple[Ready, ...]], ...]  # per unit: free for operations, for pushes, results
Events = Sequence[tuple[int, UnitEvent]]  # by offset in the step


class QueueMismatch(Exception):
    """A result was taken that no operation made: the queue model has misread the program."""


@dataclass(frozen=True)
class Stall:
    """The bundle at `offset` of the step, counted in bundles, stood still for `unit`."""

    offset: int
    unit: int
    cycles: int


@dataclass(frozen=True)
class Passed:
    """What a step cost beyond its bundles. `mxu`: part of `total` that matrix results were awaited."""

    total: int = 0
    mxu: int = 0
    stalls: tuple[Stall, ...] = ()


_NOTHING = Passed()


class UnitQueues:
    """Time that steps spend waiting for results. With `remembers` off every step is simulated anew."""

    def __init__(self, units: Units, *, remembers: bool = True) -> None:
        self._units = units
        self._max_memory = _MAX_MEMORY if remembers else 0
        self._fresh: UnitState = tuple((0, 0, ()) for _ in units.names)
        self._memory: dict[tuple[int, UnitState], tuple[Passed, UnitState]] = {}
        self.state = self._fresh

    def reset(self) -> None:
        self.state = self._fresh

    @property
    def left_over(self) -> list[int]:
        """Matrix units whose results nobody took, though they come out in order."""
        matrix = [unit for unit in range(len(self.state)) if self._units.is_matrix(unit)]
        return [unit for unit in matrix if any(place < 0 for place, _ in self.state[unit][2])]

    def pass_time(self, cycles: int) -> None:
        """Let time go by without operations."""
        if cycles and self.state != self._fresh:
            self.state = _later(self.state, cycles)

    def run(self, serial: int, cycles: int, events: Events) -> Passed:
        """Pass a step of that many bundles; return what it cost beyond them.

        Raises:
            QueueMismatch: a pop found nothing.
        """
        if not events:
            self.pass_time(cycles)
            return _NOTHING
        key = (serial, self.state)
        known = self._memory.get(key)
        if known is None:
            known = self._simulate(cycles, events)
            if len(self._memory) < self._max_memory:
                self._memory[key] = known
        passed, self.state = known
        return passed

    def _simulate(self, cycles: int, events: Events) -> tuple[Passed, UnitState]:
        units = [_Unit(*unit) for unit in self.state]
        total = mxu = 0
        stalls: list[Stall] = []
        for offset, event in events:
            now = offset + total
            unit = units[event.unit]
            if event.kind == "pop":
                ready = unit.take(event.place)
                if ready is None and self._units.is_matrix(event.unit):
                    raise QueueMismatch(
                        f"a result is taken from the empty queue of {self._units.names[event.unit]}"
                    )
                waited = max(0, (ready or 0) - now)
            elif event.kind == "push":
                unit.push_free = max(now, unit.push_free) + event.interval
                continue
            else:
                unit.send(now, event)
                continue
            if waited:
                total += waited
                mxu += waited if self._units.is_matrix(event.unit) else 0
                stalls.append(Stall(offset, event.unit, waited))
        state = tuple((unit.free, unit.push_free, tuple(unit.results)) for unit in units)
        return Passed(total, mxu, tuple(stalls)), _later(state, cycles + total)


class _Unit:
    """One unit while a step is simulated; times count from the step's start."""

    def __init__(self, free: int, push_free: int, results: Iterable[Ready]) -> None:
        self.free = free
        self.push_free = push_free
        self.results = list(results)

    def send(self, now: int, event: UnitEvent) -> None:
        start = max(now, self.free, self.push_free if event.latches else 0)
        self.free = start + event.interval
        if not event.results:
            return
        spacing = event.interval // event.results
        for number in range(event.results):
            ready = start + event.latency + spacing * number
            if event.place == IN_ORDER:
                self.results.append((IN_ORDER, ready))
            else:
                place = event.place + number
                self.results = [result for result in self.results if result[0] != place]
                self.results.append((place, ready))

    def take(self, place: int) -> int | None:
        """When a result is there; None when nothing was made that could come out in order."""
        for index, (where, ready) in enumerate(self.results):
            if where == place:
                del self.results[index]
                return ready
        return None if place == IN_ORDER else 0  # a named place: made long ago


def _later(state: UnitState, cycles: int) -> UnitState:
    """The same state seen from later; what has a place and is there already is forgotten."""
    return tuple(
        (
            max(0, free - cycles),
            max(0, push - cycles),
            tuple((place, max(0, ready - cycles)) for place, ready in queue if place < 0 or ready > cycles),
        )
        if free or push or queue
        else (0, 0, ())
        for free, push, queue in state
    )
