"""The start of a run as a timeline: what the core issued and waited for, what each unit did, which copies flew.

Only a window is kept, from the kernel's start: a pipelined kernel repeats itself, and a page with a million bars helps
nobody. A steady loop that the simulation folds is one bar with its count.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cairn.lab.causes import NOWHERE, cause_of
from cairn.lab.chip import Chip
from cairn.lab.dumps import Dump, Sources
from cairn.lab.facts import UNITS, slots_of

MAX_SPANS = 6_000
ISSUE_TRACK, WAIT_TRACK = "core", "waits"
_FIRST = (ISSUE_TRACK, WAIT_TRACK)
_BINS = 400


@dataclass(frozen=True)
class Span:
    """Something that lasted, in core cycles since the kernel's start. `times`: how often in a row."""

    track: str
    start: float
    end: float
    name: str
    times: int = 1


@dataclass
class Timeline:
    """An observer that keeps the spans of a window.

    Attributes:
        spans: issued runs of one source line, waits by unit, copies by direction.
        visits: cycle and address of each bundle in the window, for what the units did.
        end: last cycle of the window.
        is_whole: nothing was left out.
    """

    sources: Sources | None = None
    spans: list[Span] = field(default_factory=list)
    visits: list[tuple[int, int]] = field(default_factory=list)
    end: float = 0.0
    is_whole: bool = True
    _lanes: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def issued(self, at: int, addresses: Sequence[int], times: int) -> None:
        if not self._room():
            return
        start, name = at, self._line(addresses[0]) if addresses else NOWHERE
        for offset, address in enumerate(addresses):
            self.visits.append((at + offset, address))
            line = self._line(address)
            if line != name:
                self._add(Span(ISSUE_TRACK, start, at + offset, name, times))
                start, name = at + offset, line
        self._add(Span(ISSUE_TRACK, start, at + len(addresses), name, times))

    def stalled(self, at: int, address: int, unit: str, cause: str, cycles: int, times: int) -> None:
        if self._room():
            self._add(Span(WAIT_TRACK, at, at + cycles, f"{cause_of(unit, cause)}, {self._line(address)}", times))

    def copied(self, at: float, until: float, address: int, direction: str, size_bytes: int, times: int) -> None:
        if self._room():
            kind = "in" if direction.startswith("hbm") else "out" if direction.endswith("hbm") else "on chip"
            name = f"{direction.replace('_', ' ')} {size_bytes / 1024:,.1f} KiB"
            self._add(Span(self._lane(f"copies {kind}", at, until), at, until, name, times))

    def _room(self) -> bool:
        self.is_whole = self.is_whole and len(self.spans) < MAX_SPANS
        return self.is_whole

    def _add(self, span: Span) -> None:
        """Keep a span; one that continues the last of its track is made part of it."""
        last = self.spans[-1] if self.spans else None
        if last and (last.track, last.name, last.end, last.times) == (
            span.track,
            span.name,
            span.start,
            span.times,
        ):
            self.spans[-1] = Span(span.track, last.start, span.end, span.name, span.times)
        elif span.end > span.start:
            self.spans.append(span)
        if not span.track.startswith("copies"):
            self.end = max(self.end, span.end)

    def _lane(self, kind: str, at: float, until: float) -> str:
        """A track on which nothing else flies at that time."""
        lanes = self._lanes[kind]
        for index, free in enumerate(lanes):
            if free <= at:
                lanes[index] = until
                return f"{kind} {index + 1}"
        lanes.append(until)
        return f"{kind} {len(lanes)}"

    def _line(self, address: int) -> str:
        located = self.sources.bundles[address] if self.sources and address < len(self.sources.bundles) else ()
        return self.sources.places[located[0][0]].rpartition("/")[2] if self.sources and located else NOWHERE


def unit_use(timeline: Timeline, table_text: str) -> dict[str, list[float]]:
    """For each unit the share of its slots in use, in equal parts of the window."""
    table = slots_of(table_text)
    width = max(timeline.end / _BINS, 1.0)
    bins = {unit: [0.0] * _BINS for unit in table.units if unit in UNITS}
    for cycle, address in timeline.visits:
        place = int(cycle / width)
        if place >= _BINS or address >= len(table.rows):
            continue
        for unit, capacity, used in zip(table.units, table.capacity, table.rows[address], strict=True):
            if used and unit in bins and capacity:
                bins[unit][place] += used / (capacity * width)
    return {unit: [min(1.0, use) for use in uses] for unit, uses in bins.items() if any(uses)}


def trace_events(timelines: Mapping[str, Timeline], dump: Dump, chip: Chip) -> dict[str, Any]:
    """The trace format that Perfetto and chrome://tracing read; times in microseconds."""
    events: list[dict[str, Any]] = []
    cut = [name for name, timeline in timelines.items() if not timeline.is_whole]
    for number, (name, timeline) in enumerate(timelines.items(), 1):
        events.append({"ph": "M", "pid": number, "name": "process_name", "args": {"name": f"{name} (predicted)"}})
        events += _track_events(number, timeline, chip)
        events += _unit_events(number, timeline, dump.utilisation.get(name, ""), chip)
    about = {"kind": "predicted", "target": chip.target, "only_the_start_of": cut}
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": about}


def _track_events(pid: int, timeline: Timeline, chip: Chip) -> Iterator[dict[str, Any]]:
    tracks = {track: index for index, track in enumerate(tracks_of(timeline), 1)}
    for track, index in tracks.items():
        yield {"ph": "M", "pid": pid, "tid": index, "name": "thread_name", "args": {"name": track}}
        yield {"ph": "M", "pid": pid, "tid": index, "name": "thread_sort_index", "args": {"sort_index": index}}
    for span in timeline.spans:
        start, length = span.start / chip.cycles_per_us, (span.end - span.start) / chip.cycles_per_us
        event = {"ph": "X", "pid": pid, "tid": tracks[span.track], "ts": start, "dur": length, "name": span.name}
        yield {**event, "args": {"cycles": round(span.end - span.start), "times": span.times}}


def _unit_events(pid: int, timeline: Timeline, table_text: str, chip: Chip) -> Iterator[dict[str, Any]]:
    width_us = max(timeline.end / _BINS, 1.0) / chip.cycles_per_us
    for unit, uses in unit_use(timeline, table_text).items():
        before = -1.0
        for index, use in enumerate(uses):
            if use != before:
                counter = {"ph": "C", "pid": pid, "name": UNITS[unit], "ts": index * width_us}
                yield {**counter, "args": {"slots in use": round(use, 3)}}
            before = use


def tracks_of(timeline: Timeline) -> list[str]:
    """Names of the tracks: the core, its waits, copies in and out."""
    found = {span.track for span in timeline.spans}
    return sorted(found, key=lambda track: (_FIRST.index(track) if track in _FIRST else len(_FIRST), track))
