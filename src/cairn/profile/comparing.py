"""Two traces side by side, after proof that they can be compared at all.

Sums over recordings of different length have passed for gains of two: one covers two steps, the other one. So both
sides state how many steps they cover; every figure is for one step; and what betrays a wrong divisor, or the same
recording twice, refuses the comparison.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from cairn.profile.summary import DeviceSummary, TraceSummary

_SAME_SHARE = 0.8  # of the busy time in operations that both sides have
_SIMPLE = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_CLOSE = 0.01


@dataclass(frozen=True)
class Change:
    """An operation, by kind and name: microseconds of one step on both sides, None where it does not exist."""

    name: str
    kind: str
    before_us: float | None
    after_us: float | None

    @property
    def delta_us(self) -> float:
        return (self.after_us or 0.0) - (self.before_us or 0.0)


def faults(before: TraceSummary, after: TraceSummary) -> list[str]:
    """Why two traces must not be compared; empty when they can be."""
    if before.timeline.digest == after.timeline.digest:
        return ["both sides are the same file, byte for byte"]
    old, new = before.main, after.main
    found = []
    if _fingerprint(old) == _fingerprint(new):
        found.append("both sides hold the same events: one recording, exported twice")
    if old.track.kind != new.track.kind:
        found.append(f"recorded on different devices: {old.track.name} and {new.track.name}")
    if old.steps.count != new.steps.count:
        found.append(
            f"{old.steps.count} steps ({old.steps.source}) against {new.steps.count} ({new.steps.source})"
        )
    for side, device in (("before", old), ("after", new)):
        if device.uneven and _uneven_share(device) > 1 - _SAME_SHARE:
            found.append(
                f"{side}: operations with {_uneven_share(device):.0%} of the busy time do not divide into"
                f" {device.steps.count} steps; is the divisor right?"
            )
    factor = _common_factor(old, new)
    if factor is not None:
        found.append(
            f"nearly every operation differs by the same factor of {factor:g}: a divisor is wrong on one side"
        )
    return found


def _fingerprint(device: DeviceSummary) -> object:
    return [[(event.name, round(event.duration_us, 3)) for event in queue[:200]] for queue in device.track.queues]


def _uneven_share(device: DeviceSummary) -> float:
    uneven = set(device.uneven)
    return sum(op.own_us for op in device.operations if op.name in uneven) / max(device.busy_us, 1e-9)


def _common_factor(old: DeviceSummary, new: DeviceSummary) -> float | None:
    """The simple factor between the two sides that most of the time in common operations shares, if one does."""
    theirs = {op.name: op.own_us / old.steps.count for op in old.operations}
    shared = [(theirs[op.name], op.own_us / new.steps.count) for op in new.operations if theirs.get(op.name)]
    total = sum(max(pair) for pair in shared)
    votes: Counter[float] = Counter()
    weight: dict[float, float] = {}
    for a, b in shared:
        for factor in _SIMPLE:
            for ratio in (factor, 1 / factor):
                if abs(b / a / ratio - 1) < _CLOSE:
                    votes[ratio] += 1
                    weight[ratio] = weight.get(ratio, 0.0) + max(a, b)
    found = [ratio for ratio, count in votes.items() if count > 1 and weight[ratio] > _SAME_SHARE * total]
    return found[0] if found else None


def changes(before: TraceSummary, after: TraceSummary) -> list[Change]:
    """Every operation of either side, largest difference first."""
    old, new = _by_name(before.main), _by_name(after.main)
    made = [Change(*key, old.get(key), new.get(key)) for key in {**old, **new}]
    return sorted(made, key=lambda change: (-abs(change.delta_us), change.name))


def _by_name(device: DeviceSummary) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for op in device.operations:
        found[op.name, op.kind] = found.get((op.name, op.kind), 0.0) + op.own_us / device.steps.count
    return found


def compared(before: TraceSummary, after: TraceSummary, top: int) -> dict[str, Any]:
    """Differences of one step, `after` less `before`, as JSON; `faults` says why not to believe them."""
    old, new = before.main, after.main
    old_kinds, new_kinds = old.kinds_us(), new.kinds_us()
    rows = changes(before, after)
    step_us = new.steps.step_us - old.steps.step_us
    explained = sum(change.delta_us for change in rows) + new.idle_us - old.idle_us
    return {
        "faults": faults(before, after),
        "before": _side(before),
        "after": _side(after),
        "step_us": {"before": old.steps.step_us, "after": new.steps.step_us, "delta": step_us},
        "ratio": new.steps.step_us / old.steps.step_us if old.steps.step_us else None,
        "idle_us": {"before": old.idle_us, "after": new.idle_us, "delta": new.idle_us - old.idle_us},
        "kinds_us": {
            kind: {
                "before": old_kinds.get(kind, 0.0),
                "after": new_kinds.get(kind, 0.0),
                "delta": new_kinds.get(kind, 0.0) - old_kinds.get(kind, 0.0),
            }
            for kind in sorted({**old_kinds, **new_kinds})
        },
        "unexplained_us": step_us - explained,
        "top": [{**vars(change), "delta_us": change.delta_us} for change in rows[:top]],
        "operations_changed": sum(change.delta_us != 0 for change in rows),
    }


def _side(summary: TraceSummary) -> dict[str, Any]:
    main = summary.main
    return {
        "path": str(summary.timeline.path),
        "sha256": summary.timeline.digest,
        "device": main.track.name,
        "steps": main.steps.count,
        "steps_source": main.steps.source,
        "events_per_step": main.events,
    }
