"""One fresh process as a witness: it compiles both programs, times them in pairs, and shows what it has timed.

A program that is right but takes a hundred times as long would keep the judge for hours to learn what one call told.
So before the pairs a call of each is timed, and a candidate that is slower by far is not waited for (`FarSlower`):
nothing is ever kept on that, so it needs no test of significance, only a factor that no noise explains.
"""

import contextlib
import math
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cairn.judge.clock import SLOW_S, ClockDisagreement, OwnClock
from cairn.judge.correctness import Wire
from cairn.judge.timing_plan import InputSet, TimingDevice, TimingPlan
from cairn.worker_process import WorkerFailure, WorkerProcess

_Samples = tuple[list[list[float]], float, tuple[float, float] | None]
_LEAST_PAIRS, _LEAST_SLOW_PAIRS = 5, 3
_ROUNDS = 3
_LEAST_SHARE = 0.5  # the timer does nothing between samples
# slower by this factor in every single call, each longer than this: no neighbour on the machine does that
_FAR, _FAR_CALL_S = 10.0, 1.0
# so long for compiling and the first calls before anyone asks which of them it is that takes long
_FIRST_CALLS_S = 60.0
# what one call of the candidate is waited for: so many calls of the incumbent, and never less than this
_CALLS_WAITED, _LEAST_WAIT_S = 20.0, 20.0
_ROOM = 4.0  # a request may take so many times what its calls took before


class FarSlower(Exception):
    """The candidate takes so many times as long as the incumbent that more calls would tell nothing.

    `incumbent_s`, `candidate_s`: one call; the candidate's is a lower bound unless it `ended`.
    """

    def __init__(self, incumbent_s: float, candidate_s: float, *, ended: bool) -> None:
        took = f"takes {candidate_s:.3g} s" if ended else f"was ended after {candidate_s:.3g} s"
        least = "" if ended else "at least "
        super().__init__(
            f"one call {took}, where the incumbent takes {incumbent_s:.3g} s: {least}"
            f"{candidate_s / incumbent_s:.0f} times its time; no more calls were made"
        )
        self._found = {"incumbent_s": incumbent_s, "candidate_s": candidate_s, "ended": ended}

    def record(self) -> dict[str, Any]:
        """What was seen, for the receipt."""
        return dict(self._found)


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
) -> Witness:
    """Start a process and time the programs in it; arguments and errors as of `cairn.judge.timing.measure`."""

    def attempt(first_calls_s: float) -> Witness:
        with device.start() as timer:
            return _hear(timer, programs, inputs, plan, check, first_calls_s)

    with contextlib.suppress(_TooLong):
        return attempt(min(_FIRST_CALLS_S, plan.timeout_s))
    with device.start() as timer:
        _refuse_if_far_slower(timer, programs, inputs[0], plan)
    # it is the compiler that takes long, or the incumbent too: nothing to hold against the candidate
    try:
        return attempt(plan.timeout_s)
    except _TooLong as error:
        text = f"compiling and the first calls took longer than {plan.timeout_s:.0f} s"
        raise WorkerFailure("timeout", text) from error


class _TooLong(Exception):
    """The first calls did not end in time."""


def _hear(
    timer: WorkerProcess,
    programs: tuple[bytes, bytes],
    inputs: Sequence[InputSet],
    plan: TimingPlan,
    check: Callable[[int, Sequence[Wire]], None],
    first_calls_s: float,
) -> Witness:
    told = {k: v for k, v in timer.ask({"op": "device"}, timeout_s=60)[0].items() if k != "id"}
    timer.ask({"op": "load"}, programs, timeout_s=plan.timeout_s)
    for specs, blobs in inputs:
        timer.ask({"op": "inputs", "inputs": specs}, blobs, timeout_s=plan.timeout_s)
    warm = first_calls(timer, first_calls_s)
    repeats = max(1, math.ceil(plan.sample_s / max(min(warm), 1e-9)))
    wanted = int(plan.process_s / max(repeats * sum(warm), 1e-9))
    least = _LEAST_SLOW_PAIRS if min(warm) > SLOW_S else _LEAST_PAIRS
    order = [
        [secrets.randbelow(2), secrets.randbelow(len(inputs))] for _ in range(max(least, min(wanted, plan.pairs)))
    ]
    timeout_s = max(plan.timeout_s, _ROOM * len(order) * repeats * sum(warm))
    seconds, share, own_s = _pairs(
        timer, {"op": "pairs", "order": order, "repeats": repeats}, len(inputs), timeout_s
    )
    # which of the timed outputs is looked at is drawn after the clock has stopped
    index = secrets.choice(order)[1]
    reply, blobs = timer.ask({"op": "outputs", "program": 1, "set": index}, timeout_s=plan.timeout_s)
    check(index, [Wire(s["dtype"], tuple(s["shape"]), b) for s, b in zip(reply["outputs"], blobs, strict=True)])
    samples = [(float(theirs), float(mine)) for theirs, mine in seconds]
    return Witness(samples, repeats, told, share, own_s)


def first_calls(timer: WorkerProcess, timeout_s: float) -> tuple[float, float]:
    """Compile both programs in random order and call them; seconds of a call of each.

    Raises:
        _TooLong: it did not end within `timeout_s`.
        FarSlower: every call of the candidate takes far longer than every one of the incumbent.
    """
    try:
        header = {"op": "warm", "repeats": 1, "first": secrets.randbelow(2), "slow_s": SLOW_S}
        theirs, mine = timer.ask(header, timeout_s=timeout_s)[0]["seconds"]
        if mine > _FAR * theirs and mine > _FAR_CALL_S:
            again = {"op": "pairs", "order": [[secrets.randbelow(2), 0]], "repeats": 1}
            theirs_again, mine_again = timer.ask(again, timeout_s=timeout_s)[0]["seconds"][0]
            if (least := min(mine, mine_again)) > max(_FAR * (most := max(theirs, theirs_again)), _FAR_CALL_S):
                raise FarSlower(most, least, ended=True)
    except WorkerFailure as failure:
        if failure.reason == "timeout":
            raise _TooLong from failure
        raise
    return theirs, mine


def _refuse_if_far_slower(
    timer: WorkerProcess, programs: tuple[bytes, bytes], inputs: InputSet, plan: TimingPlan
) -> None:
    """Compile both programs, then call each once, by the judge's clock; the candidate is not waited for long.

    Raises:
        FarSlower: its call did not end within the time of many calls of the incumbent.
        WorkerFailure: a program failed, or the compiler or the incumbent did not end in time.
    """
    timer.ask({"op": "load"}, programs, timeout_s=plan.timeout_s)
    timer.ask({"op": "inputs", "inputs": inputs[0]}, inputs[1], timeout_s=plan.timeout_s)
    for program in (0, 1):
        timer.ask({"op": "compile", "program": program}, timeout_s=plan.timeout_s)
    started = time.monotonic()
    timer.ask({"op": "calls", "program": 0, "order": [0]}, timeout_s=plan.timeout_s)
    incumbent_s = time.monotonic() - started
    wait_s = max(_LEAST_WAIT_S, _CALLS_WAITED * incumbent_s)
    try:
        timer.ask({"op": "calls", "program": 1, "order": [0]}, timeout_s=wait_s)
    except WorkerFailure as failure:
        if failure.reason == "timeout":
            raise FarSlower(incumbent_s, wait_s, ended=False) from failure
        raise


def _pairs(timer: WorkerProcess, header: dict[str, Any], sets: int, timeout_s: float) -> _Samples:
    """Time the pairs. A few of them may be far off on a busy machine, so what disagrees is measured again.

    Raises:
        ClockDisagreement: it disagrees every time.
    """
    for _ in range(_ROUNDS - 1):
        with contextlib.suppress(ClockDisagreement):
            return _pairs_once(timer, header, sets, timeout_s)
    return _pairs_once(timer, header, sets, timeout_s)


def _pairs_once(timer: WorkerProcess, header: dict[str, Any], sets: int, timeout_s: float) -> _Samples:
    """Samples in seconds, their share of the judge's wall clock, and what the judge's own clock says of a call."""
    started = time.monotonic()
    seconds = timer.ask(header, timeout_s=timeout_s)[0]["seconds"]
    share = _share(sum(map(sum, seconds)) * header["repeats"], time.monotonic() - started)
    theirs_s, mine_s = (statistics.median(column) for column in zip(*seconds, strict=True))
    return seconds, share, OwnClock(timer, sets, timeout_s).agrees((theirs_s, mine_s))


def _share(timed_s: float, wall_s: float) -> float:
    """The part of the judge's wall clock that the samples account for: most of it, and never more than all."""
    share = timed_s / wall_s
    if not _LEAST_SHARE <= share <= 1:
        raise ClockDisagreement(f"samples of {timed_s:.3f} s in {wall_s:.3f} s of the judge's clock")
    return round(share, 4)
