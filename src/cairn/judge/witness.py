"""One fresh process as a witness: it compiles both programs, times them in pairs, and shows what it has timed.

Short calls are timed many at a time, and the judge's own clock takes the slope over numbers of calls of its own. Of
long ones the judge asks for one at a time: its own clock then sees each of them, and none has to be made for it alone.
"""

import contextlib
import math
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cairn.judge.clock import SLOW_S, ClockDisagreement, OwnClock, disagreement, side
from cairn.judge.correctness import Wire
from cairn.judge.first_calls import compile_both, first_calls
from cairn.judge.timing_plan import InputSet, TimingDevice, TimingPlan
from cairn.worker_process import WorkerProcess

_Samples = tuple[list[tuple[float, float]], float, tuple[float, float] | None]
_LEAST_PAIRS = 5
# pairs of long calls: no more than these, nor than end in about so many seconds
_MOST_SLOW_PAIRS, _SLOW_PAIRS_S = 3, 6.0
_ROUNDS = 3
_LEAST_SHARE = 0.5  # the timer does nothing between samples
_ROOM = 4.0  # a request may take so many times what its calls took before


@dataclass(frozen=True)
class Witness:
    """Pairs (incumbent, candidate) in seconds a call, and how the process' own account fits the judge's clock."""

    samples: list[tuple[float, float]]
    repeats: int
    device: dict[str, Any]
    timed_share: float
    own_clock_s: tuple[float, float] | None


def hear(
    device: TimingDevice,
    programs: tuple[bytes, bytes],
    inputs: Sequence[InputSet],
    plan: TimingPlan,
    check: Callable[[int, Sequence[Wire]], None],
    earlier_s: tuple[float, float] = (0.0, 0.0),
) -> Witness:
    """Start a process and time the programs in it; arguments and errors as of `cairn.judge.timing.measure`.

    `earlier_s`: what calls took in an earlier process. Where they are very long, no others are made before the pairs:
    what a first call costs besides is little beside them.
    """
    with device.start() as timer:
        told = {k: v for k, v in timer.ask({"op": "device"}, timeout_s=60)[0].items() if k != "id"}
        timer.ask({"op": "load"}, programs, timeout_s=plan.timeout_s)
        for specs, blobs in inputs:
            timer.ask({"op": "inputs", "inputs": specs}, blobs, timeout_s=plan.timeout_s)
        compile_both(timer, plan)
        warm = earlier_s if sum(earlier_s) > _SLOW_PAIRS_S else first_calls(timer, len(inputs), plan)
        repeats = max(1, math.ceil(plan.sample_s / max(min(warm), 1e-9)))
        slow = min(warm) > SLOW_S
        pairs = _slow_pairs(sum(warm)) if slow else _quick_pairs(repeats * sum(warm), plan)
        order = [(secrets.randbelow(2), secrets.randbelow(len(inputs))) for _ in range(pairs)]
        asked = _Asked(
            timer, order, repeats, len(inputs), max(plan.timeout_s, _ROOM * pairs * repeats * sum(warm))
        )
        seconds, share, own_s = _agreeing(asked.one_by_one if slow else asked.together)
        # which of the timed outputs is looked at is drawn after the clock has stopped
        index = secrets.choice(order)[1]
        reply, blobs = timer.ask({"op": "outputs", "program": 1, "set": index}, timeout_s=plan.timeout_s)
    check(index, [Wire(s["dtype"], tuple(s["shape"]), b) for s, b in zip(reply["outputs"], blobs, strict=True)])
    return Witness(seconds, repeats, told, share, own_s)


def _quick_pairs(pair_s: float, plan: TimingPlan) -> int:
    return max(_LEAST_PAIRS, min(int(plan.process_s / max(pair_s, 1e-9)), plan.pairs))


def _slow_pairs(pair_s: float) -> int:
    """Another process tells more than another pair, so of very slow calls one pair has to do."""
    return max(1, min(_MOST_SLOW_PAIRS, int(_SLOW_PAIRS_S / pair_s)))


@dataclass(frozen=True)
class _Asked:
    """Pairs to be timed: which program goes first, on which set of inputs, and how many calls are one sample."""

    timer: WorkerProcess
    order: Sequence[tuple[int, int]]
    repeats: int
    sets: int
    timeout_s: float

    def together(self) -> _Samples:
        """Samples in seconds, their share of the judge's wall clock, and what the judge's clock says of a call."""
        started = time.monotonic()
        header = {"op": "pairs", "order": self.order, "repeats": self.repeats}
        samples = [
            (theirs, mine) for theirs, mine in self.timer.ask(header, timeout_s=self.timeout_s)[0]["seconds"]
        ]
        share = _share(sum(map(sum, samples)) * self.repeats, time.monotonic() - started)
        return samples, share, OwnClock(self.timer, self.sets, self.timeout_s).agrees(_medians(samples))

    def one_by_one(self) -> _Samples:
        """The same for long calls: each is a request, and its outputs, of large ones a part, arrive by its end."""
        calls = [[self._call(program, index) for program in (first, 1 - first)] for first, index in self.order]
        pairs = [pair[::-1] if first else pair for pair, (first, _) in zip(calls, self.order, strict=True)]
        samples = [(theirs[0], mine[0]) for theirs, mine in pairs]
        own = [(theirs[1], mine[1]) for theirs, mine in pairs]
        share = _share(sum(map(sum, samples)), sum(map(sum, own)))
        own_s, claimed_s = _medians(own), _medians(samples)
        if side(own_s, claimed_s) == 1:
            raise ClockDisagreement(disagreement(own_s, claimed_s))
        return samples, share, own_s

    def _call(self, program: int, index: int) -> tuple[float, float]:
        """Seconds of a call, by the timer and by the judge."""
        started = time.monotonic()
        header = {"op": "calls", "program": program, "order": [index]}
        claimed_s = float(self.timer.ask(header, timeout_s=self.timeout_s)[0]["seconds"])
        part = {"set": index, "at": secrets.randbelow(2**16) / 2**16}
        self.timer.ask({"op": "outputs", "program": program, **part}, timeout_s=self.timeout_s)
        return claimed_s, time.monotonic() - started


def _medians(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
    return theirs, mine


def _agreeing(pairs: Callable[[], _Samples]) -> _Samples:
    """Time the pairs. A few of them may be far off on a busy machine, so what disagrees is measured again.

    Raises:
        ClockDisagreement: it disagrees every time.
    """
    for _ in range(_ROUNDS - 1):
        with contextlib.suppress(ClockDisagreement):
            return pairs()
    return pairs()


def _share(timed_s: float, wall_s: float) -> float:
    """The part of the judge's wall clock that the samples account for: most of it, and never more than all."""
    share = timed_s / wall_s
    if not _LEAST_SHARE <= share <= 1:
        raise ClockDisagreement(f"samples of {timed_s:.3f} s in {wall_s:.3f} s of the judge's clock")
    return round(share, 4)
