"""What one device did, taken from a timeline: its operations, its program executions, its steps.

Devices differ in how they are recorded. A TPU has one line of operations, in which a loop encloses its body, and lines
of modules and steps. A GPU has a line for each stream; the line `XLA Ops` above them is derived and covers waiting.
The CPU has no plane of its own: its operations lie in the threads of the host and carry `hlo_op`.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from cairn.errors import BadInput
from cairn.profile.timeline import Event, Plane, Timeline

_DEVICE = re.compile(r"/device:([A-Z]+):(\d+)(.*)", re.I)
_STREAM = re.compile(r"^stream\b", re.I)
_OPS, _MODULES, _STEPS, _ASYNC = "XLA Ops", "XLA Modules", "Steps", "Async XLA Ops"


@dataclass
class Track:
    """One device.

    `queues`: its operations, one list for each line, by start. `executions`: of whole programs. `steps`: as annotated
    on the device. `overlapped`: asynchronous operations, which run beside the others and are counted apart.
    """

    name: str
    kind: str
    queues: list[list[Event]] = field(default_factory=list)
    executions: list[Event] = field(default_factory=list)
    steps: list[Event] = field(default_factory=list)
    overlapped: list[Event] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(map(len, self.queues))


def tracks_of(timeline: Timeline) -> list[Track]:
    """The devices of a trace that ran something, in order of their names.

    Raises:
        BadInput: none did.
    """
    tracks = [track for plane in timeline.planes if (track := _device_track(plane)) is not None]
    found = [track for track in tracks if track.count] or _host_tracks(timeline)
    if not found:
        planes = ", ".join(repr(plane.name) for plane in timeline.planes[:8]) or "none"
        hint = "record while a compiled program runs; host threads alone say nothing about kernels"
        raise BadInput(f"no device ran an operation; planes: {planes}", path=timeline.path, hint=hint)
    return sorted(found, key=lambda track: (track.kind, _number(track.name), track.name))


def _number(name: str) -> int:
    digits = re.findall(r"\d+", name)
    return int(digits[0]) if digits else 0


def _device_track(plane: Plane) -> Track | None:
    match = _DEVICE.search(plane.name)
    if match is None:
        return None
    track = Track(match[0].strip(), match[1].casefold())
    streams = [line.events for line in plane.lines if _STREAM.match(line.name)]
    named = {line.name: line.events for line in plane.lines}
    if streams:
        track.queues = streams
    elif _OPS in named:
        track.queues = [named[_OPS]]
    track.executions = named.get(_MODULES, [])
    track.steps = named.get(_STEPS, [])
    track.overlapped = named.get(_ASYNC, [])
    return track


def _host_tracks(timeline: Timeline) -> list[Track]:
    """Operations in lines that are no device's: the CPU device, or a profiler that names kernels by category."""
    found: dict[str, Track] = {}
    for plane, line in timeline.lines():
        operations = [event for event in line.events if event.is_operation]
        if operations and not _DEVICE.search(plane.name):
            kind = "cpu" if any(event.module for event in operations) else "gpu"
            track = found.setdefault(plane.name, Track(plane.name, kind))
            track.queues.append(operations)
    for track in found.values():
        track.executions = _runs(track.queues)
    return list(found.values())


def _runs(queues: Sequence[Sequence[Event]]) -> list[Event]:
    """Executions of programs, from the operations that carry the same run."""
    spans: dict[tuple[str, str], tuple[float, float]] = {}
    for event in (event for queue in queues for event in queue):
        if event.run:
            key = (event.module, event.run)
            first, last = spans.get(key, (event.start_us, event.end_us))
            spans[key] = min(first, event.start_us), max(last, event.end_us)
    made = [Event(module, first, last - first, run=run) for (module, run), (first, last) in spans.items()]
    return sorted(made, key=lambda event: event.start_us)


def annotated_steps(timeline: Timeline) -> list[Event]:
    """Steps that the host annotated (`jax.profiler.StepTraceAnnotation`), by start; the most frequent name counts."""
    by_name: dict[str, dict[str, Event]] = defaultdict(dict)
    for plane, line in timeline.lines():
        if _DEVICE.search(plane.name):
            continue
        for event in line.events:
            if event.step and not event.is_operation:
                known = by_name[event.name].get(event.step)
                if known is None or event.duration_us > known.duration_us:
                    by_name[event.name][event.step] = event
    if not by_name:
        return []
    steps = max(by_name.values(), key=len)
    return sorted(steps.values(), key=lambda event: event.start_us)


def own_times(queue: Sequence[Event]) -> list[float]:
    """Microseconds of each event without the events that lie inside it, such as the body of a loop.

    Args:
        queue: events of one line by start, an enclosing one before what it encloses.
    """
    own = [event.duration_us for event in queue]
    open_at: list[int] = []
    for at, event in enumerate(queue):
        while open_at and queue[open_at[-1]].end_us <= event.start_us:
            open_at.pop()
        if open_at and event.end_us <= queue[open_at[-1]].end_us:
            own[open_at[-1]] -= event.duration_us
        open_at.append(at)
    return [max(value, 0.0) for value in own]


def busy_us(queues: Sequence[Sequence[Event]]) -> float:
    """Microseconds in which at least one event of any queue ran."""
    total, reached = 0.0, float("-inf")
    for event in sorted((event for queue in queues for event in queue), key=lambda event: event.start_us):
        if event.end_us > reached:
            total += event.end_us - max(event.start_us, reached)
            reached = event.end_us
    return total
