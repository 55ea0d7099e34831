"""Where the cycles of each kernel go: by source line, by cause, by unit; copies as they were executed.

It is the prediction looked at closely: the same simulation with somebody listening. One execution of each program is
described; a program that a loop calls many times is described once.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cairn.lab import chip
from cairn.lab.attribution import CORE, Attribution
from cairn.lab.bench import Answer, Bench
from cairn.lab.causes import NOWHERE, cause_of
from cairn.lab.dumps import OTHER, TAKES, WAITS, Sources
from cairn.lab.facts import KernelFacts, SlotTable, facts_of, slots_of
from cairn.lab.observe import Observer
from cairn.lab.subject import Subject
from cairn.lab.timeline import Timeline

_WAITS_FOR = {"dma": WAITS, "mxu": TAKES}


@dataclass(frozen=True)
class LineCost:
    """Cycles of one source line, or of `NOWHERE`, by cause: `issue` or `UNIT CAUSE`."""

    place: str
    cycles: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.cycles.values())


@dataclass(frozen=True)
class CopyUse:
    """Copies of one direction, size and line: how many were executed."""

    direction: str
    bytes_each: int
    count: int
    source: str | None

    @property
    def bytes(self) -> int:
        return self.bytes_each * self.count


@dataclass(frozen=True)
class KernelProfile:
    """One program, executed once, on the slower core.

    Attributes:
        cycles: all of them.
        causes: cycles by cause; `issue` is one per bundle, the others are waits.
        lines: costliest first; each bundle's cycle is shared by the operations in it that have a line.
        units: share of each unit's slots that was used while the program ran.
        copies: largest traffic first.
        executed_spills, executed_fills: how often a vector register went to memory and back.
    """

    name: str
    facts: KernelFacts
    cycles: int
    causes: Mapping[str, int]
    lines: tuple[LineCost, ...]
    units: Mapping[str, float]
    copies: tuple[CopyUse, ...]
    executed_spills: int = 0
    executed_fills: int = 0


@dataclass(frozen=True)
class Profile:
    """An answer, and its kernels, costliest first; timelines of their starts, by name."""

    answer: Answer
    kernels: tuple[KernelProfile, ...] = ()
    timelines: Mapping[str, Timeline] = field(default_factory=dict)


class Recorder(Attribution):
    """Adds up cycles as `Attribution` does, copies by the bundle that starts them, and keeps the timeline."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self.timeline = timeline
        self.copies: Counter[tuple[int, str, int]] = Counter()

    def issued(self, at: int, addresses: Sequence[int], times: int) -> None:
        super().issued(at, addresses, times)
        self.timeline.issued(at, addresses, times)

    def stalled(self, at: int, address: int, unit: str, cause: str, cycles: int, times: int) -> None:
        super().stalled(at, address, unit, cause, cycles, times)
        self.timeline.stalled(at, address, unit, cause, cycles, times)

    def copied(self, at: float, until: float, address: int, direction: str, size_bytes: int, times: int) -> None:
        super().copied(at, until, address, direction, size_bytes, times)
        self.copies[address, direction, size_bytes] += times
        self.timeline.copied(at, until, address, direction, size_bytes, times)


def profile(bench: Bench, subject: Subject) -> Profile:
    """Compile with source lines, predict, and say where the cycles went.

    Raises:
        Missing: the interpreter lacks jax or libtpu.
    """
    answer = bench.compile(subject, locations=True)
    if answer.compiled is None:
        return Profile(answer)
    sources = answer.compiled.dump.sources
    recorders: dict[str, Recorder] = {}

    def observe(name: str) -> Observer:
        recorders[name] = Recorder(Timeline(sources.get(name)))
        return recorders[name]

    answer = bench.predicted(answer, observe)
    if answer.refused is not None:
        return Profile(answer)
    kernels = [_kernel(answer, name, recorder) for name, recorder in recorders.items()]
    timelines = {name: recorder.timeline for name, recorder in recorders.items()}
    return Profile(answer, tuple(sorted(kernels, key=lambda kernel: -kernel.cycles)), timelines)


def _kernel(answer: Answer, name: str, recorder: Recorder) -> KernelProfile:
    assert answer.compiled is not None
    dump = answer.compiled.dump
    cycles = recorder.cycles
    causes: Counter[str] = Counter()
    visits: Counter[int] = Counter()
    for (address, unit, cause), count in cycles.items():
        causes[cause_of(unit, cause)] += count
        if unit == CORE:
            visits[address] += count
    table = slots_of(dump.utilisation.get(name, ""))
    total = sum(cycles.values())
    sources = dump.sources.get(name)
    return KernelProfile(
        name=name,
        facts=facts_of(dump, name, chip.load(answer.target)),
        cycles=total,
        causes=dict(causes.most_common()),
        lines=tuple(_lines(cycles, sources)),
        units=_units(table, visits, total),
        copies=tuple(_copies(recorder, sources)),
        executed_spills=_executed(table, visits, "VSTORE:SPILL"),
        executed_fills=_executed(table, visits, "VLOAD:FILL"),
    )


def _lines(cycles: Mapping[tuple[int, str, str], int], sources: Sources | None) -> list[LineCost]:
    costs: dict[str, Counter[str]] = defaultdict(Counter)
    for (address, unit, cause), count in cycles.items():
        places = _places(sources, address, unit)
        for place, part in places.items():
            costs[place][cause_of(unit, cause)] += count * part  # type: ignore[assignment]
    lines = [LineCost(place, dict(parts.most_common())) for place, parts in costs.items()]
    return sorted(lines, key=lambda line: (-line.total, line.place))


def _places(sources: Sources | None, address: int, unit: str) -> dict[str, float]:
    """Lines of a bundle with their shares; of a wait, the lines of the operations that wait, if they have any."""
    located = sources.bundles[address] if sources is not None and address < len(sources.bundles) else ()
    if not located or sources is None:
        return {NOWHERE: 1.0}
    role = next((role for kind, role in _WAITS_FOR.items() if unit.startswith(kind)), OTHER)
    chosen = [place for place, own in located if own == role]
    if not chosen and role == WAITS:
        return {NOWHERE: 1.0}  # the pipeline's own wait in a bundle that also does the kernel's work
    chosen = chosen or [place for place, _ in located]
    return {sources.places[place]: count / len(chosen) for place, count in Counter(chosen).items()}


def _units(table: SlotTable, visits: Mapping[int, int], total: int) -> dict[str, float]:
    shares = {}
    for unit, capacity in zip(table.units, table.capacity, strict=True):
        used = sum(count * row for count, row in zip(_by_row(table, visits), table.column(unit), strict=True))
        if ":" not in unit and capacity and total:
            shares[unit] = used / (capacity * total)
    return shares


def _executed(table: SlotTable, visits: Mapping[int, int], column: str) -> int:
    return sum(count * used for count, used in zip(_by_row(table, visits), table.column(column), strict=True))


def _by_row(table: SlotTable, visits: Mapping[int, int]) -> list[int]:
    return [visits.get(address, 0) for address in range(len(table.rows))]


def _copies(recorder: Recorder, sources: Sources | None) -> list[CopyUse]:
    merged: Counter[tuple[str, int, str | None]] = Counter()
    for (address, direction, size_bytes), count in recorder.copies.items():
        place = next(iter(_places(sources, address, "")), NOWHERE)
        merged[direction, size_bytes, None if place == NOWHERE else place] += count
    uses = [CopyUse(direction, size, count, place) for (direction, size, place), count in merged.items()]
    return sorted(uses, key=lambda use: (-use.bytes, use.direction, use.bytes_each))
