"""Rank the points of a grid of settings on one target, several at a time, and do not waste time on hopeless ones.

A point is hopeless, and is not or no longer asked for, by one of two rules; both can be turned off:

- it is at least as large in every number, and otherwise equal, as a point that did not fit in vector memory;
- its compile takes longer than `SLOW_FACTOR` times the median of those that were compiled, and than `SLOW_S`.

Every answer goes through the cache, so a sweep that was interrupted goes on where it stopped.
"""

import itertools
import queue
import random
import statistics
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cairn.lab.cache import Cache
from cairn.lab.lane import Lane
from cairn.lab.subject import Subject

SLOW_FACTOR, SLOW_S, SLOW_AFTER = 10.0, 30.0, 3
_NO_FIT = ("vmem_oom", "smem_oom")
Point = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One point: its prediction, or why there is none (`why`), and whether that was a rule's decision."""

    point: Point
    us: float | None = None
    low_us: float | None = None
    high_us: float | None = None
    why: str = ""
    is_skipped: bool = False
    kind: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Plan:
    """What a sweep needs.

    Attributes:
        subject: the kernel.
        bench: settings of `Lane`: python, target, timeout_s; and the cache.
        points: settings to try, in the order in which they are tried.
        workers: lanes side by side.
        is_exhaustive: no rule may leave a point out.
    """

    subject: Subject
    bench: Mapping[str, Any]
    points: Sequence[Point]
    workers: int = 2
    is_exhaustive: bool = False


def bench_settings(python: str, target: str, cache: Cache | None, timeout_s: float) -> dict[str, Any]:
    """What a lane is told of its bench."""
    folder, bound = (None, 0) if cache is None else (str(cache.folder), cache.max_bytes)
    return {"python": python, "target": target, "timeout_s": timeout_s, "cache": folder, "max_bytes": bound}


def grid(space: Mapping[str, Sequence[Any]], allowed: Callable[[Point], bool]) -> list[Point]:
    """Every allowed point, in an order that is mixed but always the same: good ones come early on average."""
    names = list(space)
    points = [dict(zip(names, choice, strict=True)) for choice in itertools.product(*space.values())]
    points = [point for point in points if allowed(point)]
    random.Random(0).shuffle(points)
    return points


def sweep(plan: Plan, told: Callable[[Row, int], None] = lambda row, done: None) -> list[Row]:
    """Predict every point; best first, those without a number last.

    Args:
        plan: what to do.
        told: called with each row and the number of rows so far, from one thread at a time.
    """
    work = _Work(plan, told)
    threads = [threading.Thread(target=work.lane, daemon=True) for _ in range(max(1, plan.workers))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:
        work.stop()
    if work.error is not None:
        raise work.error
    return sorted(work.rows, key=lambda row: (row.us is None, row.us or 0.0, row.is_skipped, str(row.point)))


def ties(rows: Sequence[Row]) -> int:
    """How many of the first rows the model cannot tell from the best."""
    best = next((row for row in rows if row.us), None)
    if best is None or best.us is None:
        return 0
    margin = best.data.get("same_kernel_margin", 0.05)
    return sum(1 for row in rows if row.us is not None and row.us <= best.us * (1.0 + margin))


class _Work:
    """What the lanes share: points to do, rows done, what did not fit, how long compiles take."""

    def __init__(self, plan: Plan, told: Callable[[Row, int], None]) -> None:
        self._plan = plan
        self._told = told
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Point] = queue.SimpleQueue()
        self._seconds: list[float] = []
        self._stopped = False
        self.rows: list[Row] = []
        self.error: Exception | None = None
        for point in plan.points:
            self._queue.put(point)

    def stop(self) -> None:
        self._stopped = True

    def lane(self) -> None:
        """Take points until none is left."""
        with Lane(self._plan.bench, self._plan.subject) as lane:
            while not self._stopped and self.error is None:
                try:
                    point = self._queue.get_nowait()
                except queue.Empty:
                    return
                self._keep(self._skipped(point) or self._asked(lane, point))

    def _asked(self, lane: Lane, point: Point) -> Row:
        limit_s = self._limit_s()
        try:
            data = lane.ask(point, limit_s)
        except EOFError as error:
            return Row(point, why=str(error), kind="crash")
        kind = data["failure"]["kind"] if data["failure"] else ""
        is_slow = kind == "timeout" and limit_s < self._plan.bench["timeout_s"]
        why = data["refused"] or ""
        if is_slow:
            why = f"hopeless: it compiles for more than {limit_s:.0f} s, others take {self._median_s():.1f} s"
        return Row(point, data["us"], data["low_us"], data["high_us"], why, is_slow, kind, data)

    def _keep(self, row: Row) -> None:
        with self._lock:
            self.rows.append(row)
            if row.data.get("compile_s"):
                self._seconds.append(row.data["compile_s"])
            self._told(row, len(self.rows))

    def _limit_s(self) -> float:
        """Seconds that the next compile may take."""
        most = float(self._plan.bench["timeout_s"])
        with self._lock:
            if self._plan.is_exhaustive or len(self._seconds) < SLOW_AFTER:
                return most
        return min(most, max(SLOW_S, SLOW_FACTOR * self._median_s()))

    def _median_s(self) -> float:
        return statistics.median(self._seconds or [0.0])

    def _skipped(self, point: Point) -> Row | None:
        """A row for a point that is at least as large as one that did not fit."""
        if self._plan.is_exhaustive:
            return None
        with self._lock:
            unfit = [row for row in self.rows if row.kind in _NO_FIT]
        smaller = next((row for row in unfit if _at_least(point, row.point)), None)
        if smaller is None:
            return None
        words = " ".join(f"{name}={value}" for name, value in smaller.point.items())
        return Row(point, why=f"hopeless: at least as large as {words}, which does not fit", is_skipped=True)


def _at_least(point: Point, other: Point) -> bool:
    """Whether a point is as large as another in every number, and equal in all else."""
    for name, value in point.items():
        theirs = other.get(name)
        numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (value, theirs))
        if (value < theirs) if numbers else (value != theirs):
            return False
    return True
