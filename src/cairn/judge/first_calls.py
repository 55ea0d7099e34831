"""The first calls of two programs in a fresh process: is it worth while to time any more of them?

A program that is right but takes a hundred times as long would keep the judge for hours to learn what one call told.
So once both are compiled the incumbent is called, and then the candidate, which is not waited for when it is slower
by far (`FarSlower`): nothing is ever kept on that, so it needs no test of significance, only a factor that no noise
explains. What the incumbent cannot do is no fault of the candidate's (`IncumbentFails`).
"""

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from cairn.judge.clock import SLOW_S
from cairn.judge.timing_plan import TimingPlan
from cairn.worker_process import WorkerFailure, WorkerProcess

# slower by this factor in every single call, each longer than this: no neighbour on the machine does that
_FAR, _FAR_CALL_S = 10.0, 1.0
# what one call of the candidate is waited for: so many calls of the incumbent, and never less than this
_CALLS_WAITED, _LEAST_WAIT_S = 12.0, 10.0


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


class IncumbentFails(Exception):
    """The incumbent does not compile here, fails, or takes longer than anybody waits."""


def compile_both(timer: WorkerProcess, plan: TimingPlan) -> None:
    """Compile both programs, in random order.

    Raises:
        IncumbentFails: it is the incumbent that does not compile.
        WorkerFailure: the candidate does not, or not in time.
    """
    first = secrets.randbelow(2)
    for program in (first, 1 - first):
        with _blaming(program):
            timer.ask({"op": "compile", "program": program}, timeout_s=plan.timeout_s)


def first_calls(timer: WorkerProcess, sets: int, plan: TimingPlan) -> tuple[float, float]:
    """Call both programs, which are compiled; about how many seconds a call of each takes.

    One that takes `SLOW_S` or more is called on the first set only: what is new to it costs little beside the call.

    Raises:
        FarSlower: every call of the candidate takes far longer than every one of the incumbent.
        IncumbentFails: it is the incumbent that does not get through.
        WorkerFailure: the candidate failed.
    """
    seconds = _pair_s(timer, plan)
    if _far(*seconds):
        again = _pair_s(timer, plan)
        most, least = max(seconds[0], again[0]), min(seconds[1], again[1])
        if _far(most, least):
            raise FarSlower(most, least, ended=True)
    return _warm(timer, 0, seconds[0], sets, plan), _warm(timer, 1, seconds[1], sets, plan)


def _pair_s(timer: WorkerProcess, plan: TimingPlan) -> tuple[float, float]:
    """Seconds of one call of the incumbent, then of one of the candidate."""
    with _blaming(0):
        theirs_s = _call_s(timer, 0, plan.timeout_s)
    wait_s = max(_LEAST_WAIT_S, _CALLS_WAITED * theirs_s)
    try:
        return theirs_s, _call_s(timer, 1, wait_s)
    except WorkerFailure as failure:
        if failure.reason == "timeout":
            raise FarSlower(theirs_s, wait_s, ended=False) from failure
        raise


def _call_s(timer: WorkerProcess, program: int, timeout_s: float) -> float:
    reply, _ = timer.ask({"op": "calls", "program": program, "order": [0]}, timeout_s=timeout_s)
    return float(reply["seconds"])


def _far(theirs_s: float, mine_s: float) -> bool:
    return mine_s > max(_FAR * theirs_s, _FAR_CALL_S)


def _warm(timer: WorkerProcess, program: int, called_s: float, sets: int, plan: TimingPlan) -> float:
    """Whatever is compiled or touched later than a program's first call happens now; seconds of one more call."""
    with _blaming(program):
        others = range(1, sets) if called_s < SLOW_S else ()
        header = {"op": "warm", "program": program, "sets": [*others], "timed": called_s < SLOW_S}
        warm_s: float | None = timer.ask(header, timeout_s=plan.timeout_s)[0]["seconds"]
    return called_s if warm_s is None else warm_s


@contextlib.contextmanager
def _blaming(program: int) -> Iterator[None]:
    """What fails while it is the incumbent's turn is the incumbent's failure."""
    try:
        yield
    except WorkerFailure as failure:
        if program == 0:
            raise IncumbentFails(f"{failure.reason}: {failure.detail}") from failure
        raise
