"""A climb with far more places than anybody here has: what its ledger, its driver and its places do then.

    python benchmarks/scaling.py [--variants 1000] [--workers 200] [--markdown]

Real: Ray with its actors, the crew with a thread for each place, ledger, receipts, git. Synthetic: the edits, which
are in git and in the ledger before the first judgement; and the workers. A worker waits as long as a judgement may
take and then looks the cost up in a table. Eight workers share a process, as the chips of a host do, because 200
interpreters do not fit into a small machine; so a process that dies takes eight judgements with it. The wire to a
real worker is not in this: `benchmarks/fleet.py` has it.

Failures are drawn for each judgement: a worker that fails, a worker that says nothing until the judge gives up, and a
host that dies, which Ray starts again. `judged again` counts what they cost. Each row of the table is a climb of its
own, with all variants in one queue.
"""

import argparse
import contextlib
import itertools
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), *(str(ROOT / "tests" / each) for each in ("", "climb", "places"))]

import psutil  # noqa: E402
import ray  # noqa: E402
from aftermath import project  # noqa: E402
from fakes import FakeJudge  # noqa: E402
from fleet import planted, processor_s  # noqa: E402
from fleets import fleet_bench  # noqa: E402

from cairn.climb.crew import Crew  # noqa: E402
from cairn.climb.desk import Desk  # noqa: E402
from cairn.climb.interrupts import Interrupts  # noqa: E402
from cairn.climb.ledger import Event, Ledger  # noqa: E402
from cairn.climb.occupancy import fleet_use  # noqa: E402
from cairn.climb.phases import Phases  # noqa: E402
from cairn.climb.state import fold  # noqa: E402
from cairn.errors import Unreachable  # noqa: E402
from cairn.problem import Problem  # noqa: E402

PER_HOST = 8
WAIT_S, SPREAD_S, LIMIT_S = 20.0, 5.0, 60.0
FAILS, HANGS, DIES = 0.01, 0.002, 0.002  # for each judgement; a host that dies takes its other judgements along
HEAD = (
    "| workers | variants | judging, s | occupancy | judged again | idle between two, ms (median, p99) "
    "| driver CPU a variant, ms | driver peak, MiB | ledger, MiB | receipts, MiB | fold, s | twice | lost |"
)


class Host:
    """Eight workers of one machine."""

    def work(self, seconds: float, fate: str) -> bool:
        """Wait as a judgement would."""
        if fate == "dies":
            os._exit(1)
        time.sleep(LIMIT_S * 2 if fate == "hangs" else seconds)
        if fate == "fails":
            raise RuntimeError("the device went away")
        return True


class SyntheticJudge(FakeJudge):
    """A judge whose worker is a thread of a Ray actor."""

    def __init__(self, problem: Problem, host: Any, fates: random.Random) -> None:
        super().__init__(problem, [])
        self._host = host
        self._fates = fates

    def judge(self, *arguments: Any, **named: Any) -> Any:
        if "number" in named:
            seconds = self._fates.uniform(WAIT_S - SPREAD_S, WAIT_S + SPREAD_S)
            kinds, weights = ("works", "fails", "hangs", "dies"), (1 - FAILS - HANGS - DIES, FAILS, HANGS, DIES)
            (fate,) = self._fates.choices(kinds, weights)
            try:
                ray.get(self._host.work.remote(seconds, fate), timeout=LIMIT_S)
            except (ray.exceptions.RayError, TimeoutError) as error:
                raise Unreachable(f"the host was lost: {type(error).__name__}") from error
        return super().judge(*arguments, **named)


@dataclass
class Driver:
    """What the process of the climb uses, looked at twice a second; Ray's own processes are not in it."""

    peak_mib: float = 0.0
    over: bool = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self.over = True
            thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self.over:
            self.peak_mib = max(self.peak_mib, me.memory_info().rss / 2**20)
            time.sleep(0.5)


def climb(folder: Path, workers: int, variants: int) -> tuple[str, bool]:
    """All variants in one queue; a row of the table, and whether nothing was lost or judged twice."""
    hosts = [
        ray.remote(Host)
        .options(num_cpus=0, resources={"host": 1}, max_concurrency=PER_HOST, max_restarts=-1)
        .remote()
        for _ in range(-(-workers // PER_HOST))
    ]
    bench = fleet_bench(project(folder), [], 4, 0.0)
    bench.judges = {"local": lambda problem: FakeJudge(problem, [])}
    bench.run(1)  # anchors, and a first attempt
    desk = Desk(bench.spec(variants), lambda event: None, Interrupts())
    driver = Driver()

    def opener(at: int) -> Any:
        fates = random.Random(at)
        return lambda problem: SyntheticJudge(problem, hosts[at // PER_HOST], fates)

    with driver.watched(), Crew(desk, {f"ray:{at}": opener(at) for at in range(workers)}) as crew:
        phases = Phases(desk, bench.agent, crew)
        desk.write("climb.launched", agent=bench.agent.name, attempts=variants, budgets={}, places=crew.places)
        left = attempts = planted(desk, phases, variants)
        sys.stderr.write("judging\n")
        before = processor_s()
        while left:
            phases.judge(left)
            left = [each for each in attempts if not each.verdict]
        cpu_ms = (processor_s() - before) / variants * 1000
    for host in hosts:
        ray.kill(host)
    for attempt in attempts:
        phases.conclude(attempt)
    began = time.monotonic()
    events = Ledger(bench.folder / "ledger.jsonl").events
    fold(events)
    fold_s = time.monotonic() - began
    use = fleet_use(events)
    judged = [each for each in bench.judged() if each != "start"][1:]
    twice, lost = len(judged) - len(set(judged)), variants - len(set(judged))
    late = idle_ms(events)
    again = sum(place.lost for place in use.places.values())
    sizes = [(bench.folder / f"{name}.jsonl").stat().st_size / 2**20 for name in ("ledger", "receipts")]
    row = (
        f"| {workers} | {variants} | {use.capacity_s / workers:.0f} | {use.occupancy or 0:.0%} | {again} "
        f"| {statistics.median(late):.0f}, {late[int(0.99 * (len(late) - 1))]:.0f} | {cpu_ms:.0f} "
        f"| {driver.peak_mib:.0f} | {sizes[0]:.1f} | {sizes[1]:.1f} | {fold_s:.2f} | {twice} | {lost} |"
    )
    return row, not twice and not lost


def idle_ms(events: list[Event]) -> list[float]:
    """How long a place waited between two attempts; what followed a loss is left out, because a place rests then."""
    begun: dict[str, datetime] = {}
    spans: dict[str, list[tuple[datetime, datetime | None]]] = {}
    for event in events:
        if event["event"] == "attempt.judging":
            begun[event["attempt"]] = datetime.fromisoformat(event["time"])
        elif event["event"] in ("attempt.judged", "attempt.blocked"):
            start = begun[event["attempt"]]
            end = start + timedelta(seconds=event["judge_s"]) if event["event"] == "attempt.judged" else None
            spans.setdefault(event["place"], []).append((start, end))
    found = []
    for each in spans.values():
        each.sort(key=lambda span: span[0])
        for (_, end), (start, _) in itertools.pairwise(each):
            if end is not None:
                found.append((start - end).total_seconds() * 1000)
    return sorted(found) or [0.0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[200])
    parser.add_argument("--markdown", action="store_true", help="only the table")
    options = parser.parse_args()
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")
    most = -(-max(options.workers) // PER_HOST)
    ray.init(
        address="local",
        num_cpus=2,
        resources={"host": most},
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    folder, good = Path(tempfile.mkdtemp(prefix="cairn-scaling-")), True
    try:
        sys.stdout.write(f"{HEAD}\n{'|---' * HEAD.count(' | ')}|---|\n")
        for workers in options.workers:
            row, fine = climb(folder / str(workers), workers, options.variants)
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
            good = good and fine
        if not options.markdown:
            sys.stdout.write(f"a judgement waits {WAIT_S - SPREAD_S:.0f} to {WAIT_S + SPREAD_S:.0f} s\n")
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
