"""What several places bring, what they cost the climb that uses them, and what is left when they are killed.

    python benchmarks/fleet.py [--variants 8] [--wait-s 10]   2 places against 1: occupancy and speed-up
    python benchmarks/fleet.py --overhead 1000                what the climb itself adds to a judgement
    python benchmarks/fleet.py --kill                         a raylet, then the climb itself, while they judge

A judgement here is a wait: the judge asks a worker of its place to sleep, and looks its cost up in a table. All else
is what a climb runs: crew, ledger, receipts, git, a Ray cluster inside this machine, its actors, the far end and the
wire. Real judgements need a device for each place; on one machine they would only show that its cores are shared.

Occupancy and speed-up count from the first judgement of a round to its last. With `--overhead` the wait is in this
process, so that what is left of a place's time is the climb's own: handing out, the git blob, receipt, ledger.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / each) for each in ("", "climb", "places")]

from aftermath import project  # noqa: E402
from fakes import FakeJudge  # noqa: E402
from fleets import fleet_bench  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402
from ray_play import ADDRESS, HEAD, gone_soon, settled, summary, wanted  # noqa: E402

from cairn.climb.crew import Crew  # noqa: E402
from cairn.climb.desk import Desk  # noqa: E402
from cairn.climb.interrupts import Interrupts  # noqa: E402
from cairn.climb.ledger import Event, Ledger  # noqa: E402
from cairn.climb.occupancy import fleet_use  # noqa: E402
from cairn.climb.phases import Phases  # noqa: E402
from cairn.execution.places import open_places  # noqa: E402
from cairn.problem import Problem  # noqa: E402
from workspace import Workspace  # noqa: E402

LEAST_OCCUPANCY, LEAST_SPEEDUP, MOST_OVERHEAD_MS = 0.90, 1.8, 50.0


def no_harm(event: Event) -> None:
    """Just climb."""


@dataclass(frozen=True)
class Rounds:
    """Rounds of `variants` at `slots` places of a cluster; a judgement takes `wait_s`."""

    address: str
    slots: int
    variants: int
    wait_s: float

    def run(self, root: Path, attempts: int, told: Callable[[Event], None] = no_harm) -> None:
        """Climb to so many attempts, as soon as all places have their workers."""
        with open_places(wanted(self.address, self.slots), Path(sys.executable)) as places:
            for place in places:
                settled(place)
            fleet_bench(Workspace(root), places, self.variants, self.wait_s).run(attempts, told)


def ledger_of(root: Path) -> Path:
    return root / ".cairn" / "runs" / "night" / "ledger.jsonl"


# two places against one


def speedup(folder: Path, address: str, options: argparse.Namespace) -> bool:
    rows = []
    for slots in (1, 2):
        root = project(folder / str(slots)).root
        Rounds(address, slots, options.variants, options.wait_s).run(root, options.variants)
        use = fleet_use(Ledger(ledger_of(root)).events)
        rows.append((slots, use.capacity_s / slots, use.occupancy or 0.0))
    sys.stdout.write("| places | variants | judging s | occupancy | speed-up |\n|---|---|---|---|---|\n")
    for slots, wall_s, occupancy in rows:
        sys.stdout.write(
            f"| {slots} | {options.variants} | {wall_s:.1f} | {occupancy:.1%} | {rows[0][1] / wall_s:.2f} |\n"
        )
    gain, occupancy = rows[0][1] / rows[1][1], rows[1][2]
    sys.stdout.write(
        f"at least {LEAST_OCCUPANCY:.0%} and {LEAST_SPEEDUP}; a judgement waits {options.wait_s:g} s\n"
    )
    return gain >= LEAST_SPEEDUP and occupancy >= LEAST_OCCUPANCY


# what the climb adds


class Sleeper(FakeJudge):
    """A judgement that waits in this process."""

    wait_s = 0.05

    def judge(self, *arguments: Any, **named: Any) -> Any:
        time.sleep(self.wait_s)
        return super().judge(*arguments, **named)


def planted(desk: Desk, phases: Phases, count: int) -> list[Any]:
    """Attempts that were edited and committed, each with a text of its own."""
    text = desk.committed(desk.state.champion)
    attempts = []
    for number in range(count):
        attempt = phases.plan()
        blob = desk.git.store(text + f"\nN = {number}\n".encode())
        desk.write(
            "attempt.edited", attempt=attempt.id, status="edited", hypothesis="", blob=blob, likeness=str(number)
        )
        desk.write("attempt.committed", attempt=attempt.id, candidate=desk.state.champion, refused="")
        attempts.append(attempt)
    return attempts


def overhead(folder: Path, count: int, slots: int = 2) -> bool:
    """Seconds of a place that were not waiting, and processor time of this process, for each judgement."""
    bench = fleet_bench(project(folder / "overhead"), [], 4, 0.0)
    bench.judges = {"local": lambda problem: FakeJudge(problem, [])}
    bench.run(1)
    desk = Desk(bench.spec(count), lambda event: None, Interrupts())

    def opened(problem: Problem) -> Any:
        return Sleeper(problem, [])

    with Crew(desk, {f"local:{at}": opened for at in range(slots)}) as crew:
        phases = Phases(desk, bench.agent, crew)
        attempts = planted(desk, phases, count)
        phases.judge(attempts[:slots])  # opens the places
        before = processor_s()
        began = time.monotonic()
        phases.judge(attempts[slots:])
        wall_s = time.monotonic() - began
    judged = count - slots
    own_ms = (wall_s * slots / judged - Sleeper.wait_s) * 1000
    cpu_ms = (processor_s() - before) / judged * 1000
    sys.stdout.write(
        "| variants | places | added to a judgement, ms | processor time of the climb, ms |\n|---|---|---|---|\n"
    )
    sys.stdout.write(f"| {count} | {slots} | {own_ms:.1f} | {cpu_ms:.1f} |\n")
    sys.stdout.write(f"at most {MOST_OVERHEAD_MS:.0f} ms each; git's own processes are in both\n")
    twice = len(bench.judged()) - len(set(bench.judged()))
    return own_ms <= MOST_OVERHEAD_MS and cpu_ms <= MOST_OVERHEAD_MS and not twice


def processor_s() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


# kills


def kills(folder: Path, cluster: Cluster, options: argparse.Namespace) -> bool:
    """A round each; in the middle of the first a node goes, in the middle of the second the climb."""
    root, size = project(folder / "kills").root, options.variants
    node = cluster.add_node(num_cpus=1, resources={HEAD: 1}, node_ip_address=ADDRESS)
    begun: list[str] = []

    def lose_node(event: Event) -> None:
        if event["event"] == "attempt.judging":
            begun.append(event["place"])
        if event["event"] == "attempt.judging" and len(set(begun)) == 3 and not harm.ident:
            harm.start()

    harm = threading.Timer(options.wait_s / 2, lambda: cluster.remove_node(node, allow_graceful=False))
    Rounds(cluster.address, 3, size, options.wait_s).run(root, size, lose_node)
    harm.join()
    seen = {"raylet": summary(root)}
    command = [sys.executable, __file__, "--climb", str(root), cluster.address, str(2 * size)]
    command += ["--variants", str(size), "--wait-s", str(options.wait_s)]
    size_before = ledger_of(root).stat().st_size
    with subprocess.Popen(command, start_new_session=True) as child:
        while child.poll() is None and b'"attempt.judging"' not in ledger_of(root).read_bytes()[size_before:]:
            time.sleep(0.1)
        time.sleep(options.wait_s / 2)
        os.killpg(child.pid, signal.SIGKILL)
    left = not gone_soon()
    Rounds(cluster.address, 2, size, options.wait_s).run(root, 2 * size)
    seen["climb"] = summary(root)
    sys.stdout.write("| killed | judged | twice | decided | judged again |\n|---|---|---|---|---|\n")
    for at, (name, each) in enumerate(seen.items(), 1):
        row = f"| {name} | {each['judged']} of {size * at} | {each['twice']} | {each['decided']} |"
        sys.stdout.write(f"{row} {len(each['lost'])} |\n")
    good = all(each["judged"] == each["decided"] == size * at for at, each in enumerate(seen.values(), 1))
    return good and not left and not seen["climb"]["twice"] and bool(seen["raylet"]["lost"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=8)
    parser.add_argument("--wait-s", type=float, default=10.0, help="how long a judgement takes")
    parser.add_argument("--overhead", type=int, metavar="VARIANTS", help="no cluster: only the climb's own cost")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--climb", nargs=3, help=argparse.SUPPRESS)  # the child that --kill kills
    options = parser.parse_args()
    if options.climb:
        root, address, attempts = options.climb
        Rounds(address, 2, options.variants, options.wait_s).run(Path(root), int(attempts))
        return
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")
    folder = Path(tempfile.mkdtemp(prefix="cairn-fleet-"))
    cluster = None
    try:
        if options.overhead:
            good = overhead(folder, options.overhead)
        else:
            cluster = Cluster()
            cluster.add_node(num_cpus=2, resources={HEAD: 2}, node_ip_address=ADDRESS, include_dashboard=False)
            good = kills(folder, cluster, options) if options.kill else speedup(folder, cluster.address, options)
    finally:
        if cluster is not None:
            cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
