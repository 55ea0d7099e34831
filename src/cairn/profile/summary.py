"""A trace's summary: hot operations, shares of a step, idle time; every figure is for one step of one device.

Only whole steps count: what begins before the first step or ends after the last one is left out and said. Operations
are counted by their own time, without what lies inside them, so a loop does not count its body twice. The sum of all
kinds and the idle time is the step; where queues overlap the sum is larger, and `overlap` says by how much.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cairn.profile.attribution import kind_of
from cairn.profile.steps import Steps, steps_of
from cairn.profile.timeline import Event, Timeline
from cairn.profile.tracks import Track, busy_us, own_times, tracks_of

FORMAT = "cairn-profile-1"
_ROUNDING_US = 2e-3
_OUTLIERS = 1.2
_UNEVENLY_BUSY = 0.9


@dataclass(frozen=True)
class HotOp:
    """An operation: its own microseconds over all steps, and how often it ran."""

    name: str
    kind: str
    category: str
    own_us: float
    count: int


@dataclass
class DeviceSummary:
    """One device. `busy_us` covers all steps.

    `uneven`: operations that did not run equally often in each step. `left_out`: operations outside the whole steps.
    """

    track: Track
    steps: Steps
    operations: list[HotOp]
    busy_us: float
    uneven: list[str] = field(default_factory=list)
    left_out: int = 0

    @property
    def idle_us(self) -> float:
        """Microseconds of one step in which nothing ran."""
        return max(self.steps.step_us - self.busy_us / self.steps.count, 0.0)

    @property
    def events(self) -> float:
        """Operations in one step."""
        return sum(op.count for op in self.operations) / self.steps.count

    def kinds_us(self) -> dict[str, float]:
        """Microseconds of one step by kind of operation, largest first."""
        total: dict[str, float] = defaultdict(float)
        for op in self.operations:
            total[op.kind] += op.own_us / self.steps.count
        return dict(sorted(total.items(), key=lambda item: -item[1]))


@dataclass
class TraceSummary:
    """A whole trace: the device that was busiest speaks for it."""

    timeline: Timeline
    devices: list[DeviceSummary]

    @property
    def main(self) -> DeviceSummary:
        return max(self.devices, key=lambda device: device.busy_us)


def summarize(timeline: Timeline, stated: int | None = None, module: str | None = None) -> TraceSummary:
    """Add a timeline up.

    Args:
        stated: how many steps it covers, over what it says itself.
        module: the program whose executions are the steps.

    Raises:
        BadInput: no device ran an operation, or nothing tells how many steps there are.
    """
    devices = []
    for track in tracks_of(timeline):
        steps = steps_of(timeline, track, stated, module)
        devices.append(_device(track, steps))
    return TraceSummary(timeline, devices)


def _device(track: Track, steps: Steps) -> DeviceSummary:
    queues = [_inside(queue, steps.window) for queue in track.queues]
    own: dict[tuple[str, str], float] = defaultdict(float)
    count: Counter[tuple[str, str]] = Counter()
    for queue in queues:
        for event, own_us in zip(queue, own_times(queue), strict=True):
            key = (event.name, event.category)
            own[key] += own_us
            count[key] += 1
    operations = [
        HotOp(name, kind_of(f"{name} {word}"), word, us, count[name, word]) for (name, word), us in own.items()
    ]
    operations.sort(key=lambda op: (-op.own_us, op.name))
    uneven = [op.name for op in operations if op.count % steps.count]
    return DeviceSummary(track, steps, operations, busy_us(queues), uneven, track.count - sum(map(len, queues)))


def _inside(queue: Sequence[Event], window: tuple[float, float] | None) -> Sequence[Event]:
    """Events of whole steps; a nanosecond at the edges is rounding."""
    if window is None:
        return queue
    first, last = window[0] - _ROUNDING_US, window[1] + _ROUNDING_US
    return [event for event in queue if event.start_us >= first and event.end_us <= last]


def record(summary: TraceSummary) -> dict[str, Any]:
    """The summary as JSON: what `cairn profile attribute` reads, with where it came from."""
    main, timeline = summary.main, summary.timeline
    steps, step_us = main.steps, main.steps.step_us
    kinds = main.kinds_us()
    busy = main.busy_us / steps.count
    return {
        "format": FORMAT,
        "trace": {
            "path": str(timeline.path),
            "sha256": timeline.digest,
            "format": timeline.format,
            "hosts": timeline.hosts,
            "events": timeline.size,
        },
        "device": main.track.name,
        "steps": steps.count,
        "steps_source": steps.source,
        "steps_otherwise": list(steps.others),
        "step_duration_ms": step_us / 1e3,
        "step_median_us": main.steps.median_us,
        "events_per_step": main.events,
        "busy_us": busy,
        "idle_us": main.idle_us,
        "overlap_us": max(sum(kinds.values()) - busy, 0.0),
        "kinds_us": kinds,
        "kernel_share": kinds.get("kernel", 0.0) / step_us if step_us else None,
        "idle_share": main.idle_us / step_us if step_us else None,
        "asynchronous_us": sum(event.duration_us for event in main.track.overlapped) / steps.count,
        "hot_ops": [_row(op, main) for op in main.operations],
        "operations": len(main.operations),
        "devices": [_short(device) for device in summary.devices],
        "warnings": warnings(summary),
    }


def _row(op: HotOp, device: DeviceSummary) -> dict[str, Any]:
    step_us = op.own_us / device.steps.count
    return {
        "name": op.name,
        "category": op.category,
        "kind": op.kind,
        "count": op.count,
        "exclusive_ms": op.own_us / 1e3,
        "step_us": step_us,
        "step_count": op.count / device.steps.count,
        "share": step_us / device.steps.step_us if device.steps.step_us else None,
    }


def _short(device: DeviceSummary) -> dict[str, Any]:
    return {
        "device": device.track.name,
        "steps": device.steps.count,
        "busy_us": device.busy_us / device.steps.count,
        "idle_us": device.idle_us,
    }


def warnings(summary: TraceSummary) -> list[str]:
    """What speaks against trusting the figures."""
    main, found = summary.main, list(summary.timeline.notes)
    if main.steps.count == 1:
        found.append("one step: nothing says how much it varies")
    if main.steps.step_us > _OUTLIERS * main.steps.median_us:
        found.append(
            f"steps differ: {main.steps.step_us:,.0f} us in the mean, {main.steps.median_us:,.0f} us in the median"
        )
    if main.left_out:
        found.append(
            f"{main.left_out} operations lie outside the {main.steps.count} whole steps and are not counted"
        )
    if main.uneven:
        share = sum(op.own_us for op in main.operations if op.count % main.steps.count) / max(main.busy_us, 1e-9)
        names = ", ".join(main.uneven[:3])
        found.append(
            f"{len(main.uneven)} of {len(main.operations)} operations ({share:.0%} of the busy time) did not run"
            f" equally often in {main.steps.count} steps: {names}"
        )
    slowest, fastest = max(_busy(summary)), min(_busy(summary))
    if fastest < _UNEVENLY_BUSY * slowest:
        found.append(f"devices are unevenly busy: {fastest:,.0f} to {slowest:,.0f} us a step")
    return found


def _busy(summary: TraceSummary) -> Sequence[float]:
    return [device.busy_us / device.steps.count for device in summary.devices]
