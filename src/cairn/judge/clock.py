"""The judge's own clock: what a call takes is how much longer many calls take than few.

The numbers of calls are drawn for each request, and before the clock stops the outputs of a call have to arrive that
is named only when all are done (of large ones a part, named then too). What a request costs besides its calls is in
both spans and falls out.

The timer counts each sample by itself, which is finer; this clock is coarse but nobody else's. On a shared machine it
is off by what the neighbours do meanwhile, so only a disagreement that noise does not explain counts: a factor of
five, three times in a row, and in the candidate's favour. Nobody gains by a timer that makes a candidate look slow.
"""

import secrets
import time
from dataclasses import dataclass

from cairn.worker_process import WorkerProcess

_LONGER_S = 0.02  # how much longer the many calls shall take
_LEAST_CALLS, _MOST_CALLS = 8, 20_000
SLOW_S = 0.25  # noise of a factor of five does not last through one such call, and eight would take all night
_TRIES = 3
_SLACK = 5.0


class ClockDisagreement(Exception):
    """What the timer says its samples took is not what the judge's own clock saw."""


@dataclass(frozen=True)
class OwnClock:
    """Measures calls of the programs that a timer holds, on the input sets that it holds."""

    timer: WorkerProcess
    sets: int
    timeout_s: float

    def per_call_s(self, program: int, claimed_s: float) -> float:
        """Seconds a call of a program, from two spans; about `claimed_s`, if that is true."""
        least, most_few = (_LEAST_CALLS, 3) if claimed_s < SLOW_S else (1, 2)
        room = max(least, min(_MOST_CALLS, round(_LONGER_S / max(claimed_s, 1e-9))))
        few = 1 + secrets.randbelow(most_few)
        many = few + room + secrets.randbelow(room)
        short_s, long_s = self._span_s(program, few), self._span_s(program, many)
        return (long_s - short_s) / (many - few)

    def _span_s(self, program: int, calls: int) -> float:
        order = [secrets.randbelow(self.sets) for _ in range(calls)]
        started = time.monotonic()
        self.timer.ask({"op": "calls", "program": program, "order": order}, timeout_s=self.timeout_s)
        part = {"set": secrets.choice(order), "at": secrets.randbelow(2**16) / 2**16}
        self.timer.ask({"op": "outputs", "program": program, **part}, timeout_s=self.timeout_s)
        return time.monotonic() - started

    def agrees(self, claimed_s: tuple[float, float]) -> tuple[float, float] | None:
        """Seconds a call of both programs by this clock; None when the machine is too busy to tell.

        Raises:
            ClockDisagreement: the candidate is slower, against the incumbent, than the timer says, by far, every time.
            WorkerFailure: a program failed, or did not end in time.
        """
        found: list[tuple[float, float]] = []
        while len(found) < _TRIES:
            own = self.per_call_s(0, claimed_s[0]), self.per_call_s(1, claimed_s[1])
            found.append(own)
            if side(own, claimed_s) == 0:
                return own
        if {side(own, claimed_s) for own in found} != {1} or min(map(min, found)) <= 0:
            return None
        raise ClockDisagreement(disagreement(found[-1], claimed_s))


def side(own_s: tuple[float, float], claimed_s: tuple[float, float]) -> int:
    """0: the clocks agree; 1: the candidate is slower than was claimed, against the incumbent; -1: faster."""
    if min(own_s) <= 0:
        return -1
    factor = (own_s[1] / own_s[0]) / (claimed_s[1] / claimed_s[0])
    return 1 if factor > _SLACK else -1 if factor < 1 / _SLACK else 0


def disagreement(own_s: tuple[float, float], claimed_s: tuple[float, float]) -> str:
    """What both clocks say of incumbent and candidate."""
    text = ", ".join(f"{1e6 * seconds:.1f} us" for seconds in (*own_s, *claimed_s))
    return f"incumbent and candidate by the judge's clock, then by the timer's: {text}"
