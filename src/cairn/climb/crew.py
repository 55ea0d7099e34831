"""Several judges at work: each at a place of its own, each with its own thread, one queue of attempts.

With one place a crew judges one attempt after the other. With more, the attempts of a round are judged side by side.
Only the caller's thread writes the ledger; the threads of the places write receipts and nothing else. A place that
is lost keeps nothing: its attempt goes to the next free place, and it rests for a growing while before it is tried
again. A place is opened, and its noise is measured, before it gets its first attempt.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cairn.climb.bench import Bench, Blocked, Job, OpenJudge, Prepared, TakeDevice, pristine
from cairn.climb.desk import Desk
from cairn.climb.failures import INFRA, RULES, pause_s
from cairn.errors import BadInput, Missing, TryAgain
from cairn.judge.referee import Judge
from cairn.problem import Problem
from cairn.worker_process import end_all_workers

T = TypeVar("T")
_LOOK_S = 0.2
_A_HOSTS_OWN = ("host", "cores", "processor", "isolation")  # may differ between places; on a CPU not the processor


@dataclass(frozen=True)
class Begun:
    """A job was given to a place."""

    job: Job
    place: str


@dataclass(frozen=True)
class Judged:
    """What became of a job after `seconds`: a receipt, or why the judge could not finish."""

    job: Job
    place: str
    seconds: float
    receipt: dict[str, Any] | None
    blocked: str = ""


@dataclass
class _Seat:
    """A bench with its thread. `ready`: it may get a job; `refused`: why it never may in this launch."""

    bench: Bench
    ready: bool
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "judge"))
    misses: int = 0
    rests_until: float = 0.0
    refused: str = ""

    def rest(self) -> None:
        """Be left alone for a while that grows with each miss."""
        self.misses += 1
        self.rests_until = time.monotonic() + pause_s(self.misses)


class Crew:
    """The judges of one launch; use as a context manager.

    Args:
        judges: what opens the judge at each place, by the place's name.
        take_device: as for `Bench`; with one place only.
    """

    def __init__(self, desk: Desk, judges: Mapping[str, OpenJudge], take_device: TakeDevice | None = None) -> None:
        assert judges
        assert take_device is None or len(judges) == 1
        self._desk = desk
        self._alone = len(judges) == 1
        self._seats = [
            _Seat(Bench(desk, judge, place=place, pristine=f"pristine-{at}", take_device=take_device), self._alone)
            for at, (place, judge) in enumerate(judges.items())
        ]
        self._running: dict[Future[Any], _Seat] = {}
        self._problem: tuple[str, Problem] | None = None

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *error: object) -> None:
        """End all judges. What is under way fails with its workers, so nobody is waited for long.

        A second interrupt waits for the end of this: it would leave judges behind that nobody ends.
        """
        with self._desk.interrupts.shielded():
            self._end()

    def _end(self) -> None:
        for seat in self._seats:
            seat.bench.stop()
        left = set(self._running)
        while left:
            end_all_workers()
            _, left = wait(left, timeout=_LOOK_S)
        for seat in self._seats:
            seat.thread.submit(seat.bench.close)
        for seat in self._seats:
            seat.thread.shutdown(wait=True)

    @property
    def places(self) -> list[str]:
        """The names of all places."""
        return [seat.bench.place for seat in self._seats]

    def problem(self) -> Problem:
        """The problem as it is now, from a checkout that no judge uses."""
        commit = self._desk.state.problem_at
        assert commit is not None
        if self._problem is None or self._problem[0] != commit:
            self._problem = commit, pristine(self._desk, "problem", commit)
        return self._problem[1]

    # one act at any place

    def insist(self, act: Callable[[Judge], T]) -> tuple[str, T]:
        """Do what the climb cannot do without, at the first place that can; the place, and what `act` gave.

        Raises:
            TryAgain: no place can now.
            Whatever else `act` raises.
        """
        measured = self._desk.state.measured or {}
        for seat in sorted(self._seats, key=lambda each: each.bench.place != measured.get("place")):
            try:
                return seat.bench.place, self._apart(seat, lambda bench: bench.insist(act))
            except TryAgain as error:
                trouble = error
                self._lose(seat, str(error))
        raise trouble

    def confirm(self) -> dict[str, Any] | None:
        """The champion against the problem's own baseline with fresh seeds; None when no place can tell now."""
        for seat in sorted(self._seats, key=lambda each: (not each.ready, each.misses)):
            receipt = None if seat.refused else self._apart(seat, Bench.confirm)
            if receipt is not None:
                return receipt
        return None

    def _apart(self, seat: _Seat, act: Callable[[Bench], T]) -> T:
        """Do something in a seat's own thread, and wait for it."""
        future = seat.thread.submit(act, seat.bench)
        self._running[future] = seat
        try:
            return future.result()
        finally:
            if future.done():
                del self._running[future]

    # many jobs at all places

    def judged(self, jobs: Sequence[Job]) -> Generator[Begun | Judged]:
        """Judge all: each job when a place has begun it, and what became of it, as they come.

        A job that was blocked may come again, from another place. When no place can be used any more it ends, and
        the caller sees from the jobs which are left.

        Raises:
            BadInput, Missing: the problem or the installation is broken.
        """
        waiting, tries = deque(jobs), Counter[str]()
        usable = [seat for seat in self._seats if not seat.refused]
        if all(seat.rests_until > time.monotonic() for seat in usable):
            for seat in usable:
                seat.rests_until = 0.0  # somebody has waited already
        while True:
            yield from self._hand_out(waiting)
            judging = any(seat.ready for seat in self._running.values())
            if not judging and not (waiting and self._running):
                return  # a place that is still being opened is of use to the next round
            done, _ = wait(self._running, self._until_rested(waiting), FIRST_COMPLETED)
            settled = [self._settled(self._running.pop(future), future) for future in done]
            for found in settled:
                if found is not None and found.receipt is None:
                    yield found
                    tries[found.job.attempt.id] += 1
                    if not self._alone and tries[found.job.attempt.id] < RULES[INFRA].repeats:
                        waiting.appendleft(found.job)
            yield from self._hand_out(waiting)  # before what was found is written: a place need not wait for that
            yield from (found for found in settled if found is not None and found.receipt is not None)

    def _hand_out(self, waiting: deque[Job]) -> Iterator[Begun]:
        """Give jobs to seats that are free and ready; open as many others as there are jobs for."""
        busy, now = list(self._running.values()), time.monotonic()
        idle = [seat for seat in self._seats if seat not in busy and not seat.refused and seat.rests_until <= now]
        for seat in (each for each in idle if each.ready):
            if not waiting:
                return
            job = waiting.popleft()
            yield Begun(job, seat.bench.place)
            self._running[seat.thread.submit(_settle, seat.bench, job)] = seat
        wanted = len(waiting) - sum(1 for seat in busy if not seat.ready)
        for seat in [each for each in idle if not each.ready][: max(0, wanted)]:
            self._running[seat.thread.submit(seat.bench.prepare)] = seat

    def _until_rested(self, waiting: deque[Job]) -> float | None:
        """Seconds until another seat may be tried, where a job waits for one."""
        ends = [seat.rests_until for seat in self._seats if not seat.refused]
        now = time.monotonic()
        later = [end - now for end in ends if end > now]
        return min(later) if waiting and later else None

    def _settled(self, seat: _Seat, future: Future[Any]) -> Judged | None:
        """Take in what a seat's thread found; a judgement, or None when it was the opening of its place."""
        if not seat.ready:
            self._opened(seat, future)
            return None
        found: Judged = future.result()
        if found.receipt is not None:
            seat.misses = 0
        elif not self._alone:
            self._lose(seat, found.blocked)
        return found

    def _opened(self, seat: _Seat, future: "Future[Prepared]") -> None:
        """A place is ready, or cannot be reached, or is of no use to this climb."""
        desk, place = self._desk, seat.bench.place
        try:
            found = future.result()
        except TryAgain as error:
            self._lose(seat, str(error))
            return
        except (BadInput, Missing) as error:
            seat.refused = str(error)
            if all(each.refused for each in self._seats):
                raise
            desk.write("place.lost", place=place, why=str(error)[:600], for_good=True)
            return
        seat.refused = _unlike(desk.state.measured, found.fingerprint)
        if seat.refused:
            desk.write("place.lost", place=place, why=seat.refused, for_good=True)
            seat.thread.submit(seat.bench.close)
            return
        seat.ready = True
        desk.write("place.opened", place=place, fingerprint=found.fingerprint, calibration=found.calibration)

    def _lose(self, seat: _Seat, why: str) -> None:
        if self._alone:
            return
        seat.ready = False
        seat.rest()
        self._desk.write("place.lost", place=seat.bench.place, why=why[:600], for_good=False)


def _settle(bench: Bench, job: Job) -> Judged:
    """Judge in the seat's own thread."""
    started = time.monotonic()
    receipt, blocked = None, ""
    try:
        receipt = bench.settle(job)
    except Blocked as error:
        blocked = str(error) or "the judge could not finish"
    return Judged(job, bench.place, time.monotonic() - started, receipt, blocked)


def _unlike(measured: Mapping[str, Any] | None, found: Mapping[str, Any]) -> str:
    """Why numbers of a place say nothing beside those of the climb's anchors; empty when they do."""
    known = (measured or {}).get("fingerprint", {})
    own = [name for name in _A_HOSTS_OWN if name != "processor" or known.get("platform") != "cpu"]
    names = sorted((known.keys() | found.keys()) - set(own))
    other = [
        f"{name} {found.get(name)}, not {known.get(name)}" for name in names if known.get(name) != found.get(name)
    ]
    return f"unlike the first place: {'; '.join(other)}" if other else ""
