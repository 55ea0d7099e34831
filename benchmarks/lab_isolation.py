"""Ask the compile service for many programs, some of which abort, hang or eat memory, and see that nobody is lost.

    python benchmarks/lab_isolation.py [--count 1000] [--lanes 2] [--seed N] [--results FILE]

Every program goes through the real compiler. Aborts are programs on which libtpu itself dies; hangs are bodies that
compile for minutes, and compilers that are stopped from outside; memory is a program that grows beyond a service's
bound. With `--results` an interrupted run goes on where it stopped. Afterwards: every compile has a classified result
of the expected class, no process and no folder is left over, and the process that asked is this one, still here.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from cairn.lab.chip import TARGETS
from cairn.lab.service import CompileService
from cairn.lab.stored import CompileResult

TOYS = Path(__file__).resolve().parents[1] / "tests" / "lab"
PYTHON = Path(sys.executable)
TIGHT_BYTES = 560 * 2**20  # a fresh compiler has some 350 MiB
PATIENCE_S = {"fine": 120.0, "error": 120.0, "abort": 120.0, "killed": 120.0, "memory": 120.0}
HANG_S = 2.0
# in 1,000 compiles; the rest is fine
SHARES = {"error": 60, "abort": 40, "killed": 20, "hang": 25, "stopped": 15, "memory": 10}
FINE: tuple[tuple[str, dict[str, tuple[int, int]]], ...] = (
    ("add", {"steps": (2, 200)}),
    ("rows", {"steps": (2, 50), "loops": (2, 64)}),
    ("chain", {"length": (1, 24)}),
    ("prefetched", {"visits": (2, 40)}),
    ("scan", {"trips": (2, 60)}),
    ("ragged", {}),
    ("until", {}),
)
ERRORS = ("misaligned", "too_large", "garbage")
EXPECTED = {
    "fine": {"compiled"}, "error": {"vmem_oom", "alignment", "compile_error"}, "abort": {"crash"},
    "killed": {"crash"}, "hang": {"timeout"}, "stopped": {"timeout"}, "memory": {"crash"},
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    number: int
    kind: str
    program: str
    settings: dict[str, int]
    target: str

    @property
    def file(self) -> str:
        return "-".join([self.program, *(f"{key}{value}" for key, value in self.settings.items())])


def cases(count: int, seed: int) -> list[Case]:
    """A mix in a random order that is the same for the same seed."""
    chance = random.Random(seed)
    kinds = [kind for kind, share in SHARES.items() for _ in range(max(1, round(share * count / 1000)))]
    kinds += ["fine"] * (count - len(kinds))
    chance.shuffle(kinds)
    return [Case(number, kind, *_program(kind, chance)) for number, kind in enumerate(kinds)]


def _program(kind: str, chance: random.Random) -> tuple[str, dict[str, int], str]:
    target = chance.choice(TARGETS)
    if kind == "fine":
        name, ranges = chance.choice(FINE)
        return name, {key: chance.randint(*most) for key, most in ranges.items()}, target
    if kind == "error":
        return chance.choice(ERRORS), {}, target
    if kind == "abort":
        return chance.choice(("overflowing", "endless_grid")), {}, "tpu-v5e"
    return ("spread" if kind == "memory" else "unrolled"), {}, "tpu-v5e"


def export(wanted: list[Case], folder: Path) -> None:
    """Lower every program once, in a process of its own: this one has no jax."""
    todo = {case.file: (case.program, case.settings) for case in wanted if case.program != "garbage"}
    (folder / "todo.json").write_text(json.dumps(todo))
    code = (
        "import json, sys; from pathlib import Path; import toy_kernels; folder = Path(sys.argv[1])\n"
        "for file, (name, settings) in json.loads((folder / 'todo.json').read_text()).items():\n"
        "    (folder / file).write_bytes(toy_kernels.serialised(name, **settings))\n"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(TOYS)}
    subprocess.run([str(PYTHON), "-c", code, str(folder)], check=True, env=environment)
    (folder / "garbage").write_bytes(b"not a program")


class Lane:
    """Asks one case after the other, as a judge would: one service for all, a tighter one for memory."""

    def __init__(self, folder: Path, keep: Callable[[dict[str, Any]], None]) -> None:
        self._folder = folder
        self._keep = keep
        self.starts = 0

    def work(self, take: Callable[[], Case | None]) -> None:
        with CompileService(PYTHON) as service, CompileService(PYTHON, max_rss_bytes=TIGHT_BYTES) as tight:
            while (case := take()) is not None:
                started = time.monotonic()
                result = self._ask(tight if case.kind == "memory" else service, case)
                self._keep(_row(case, result, time.monotonic() - started))
            self.starts = service.starts + tight.starts

    def _ask(self, service: CompileService, case: Case) -> CompileResult:
        program = (self._folder / case.file).read_bytes()
        if case.kind not in ("killed", "stopped"):
            return service.compile(program, case.target, PATIENCE_S.get(case.kind, HANG_S))
        service.compile(b"warm", case.target, 60.0)  # so that there is a process to hit
        assert service.pid is not None
        number = signal.SIGABRT if case.kind == "killed" else signal.SIGSTOP
        blow = threading.Timer(0.4, os.kill, (service.pid, number))
        blow.start()
        try:
            return service.compile(program, case.target, PATIENCE_S.get(case.kind, HANG_S))
        finally:
            blow.join()


def _row(case: Case, result: CompileResult, seconds: float) -> dict[str, Any]:
    failure = result.failure
    told = "compiled" if failure is None else failure.kind
    complete = failure is None or bool(failure.line and failure.hint)
    return {
        "number": case.number, "kind": case.kind, "program": case.file, "target": case.target, "class": told,
        "line": "" if failure is None else failure.line, "s": round(seconds, 3),
        "as_expected": told in EXPECTED[case.kind] and complete,
    }  # fmt: skip


def run(wanted: list[Case], lanes: int, folder: Path, results: Path) -> int:
    """Ask for all cases that have no row yet; how many compiler processes were started."""
    done = {json.loads(line)["number"] for line in results.read_text().splitlines()} if results.exists() else set()
    todo = iter([case for case in wanted if case.number not in done])
    lock = threading.Lock()

    def take() -> Case | None:
        with lock:
            return next(todo, None)

    def keep(row: dict[str, Any]) -> None:
        with lock, results.open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    workers = [Lane(folder, keep) for _ in range(lanes)]
    threads = [threading.Thread(target=lane.work, args=(take,)) for lane in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(lane.starts for lane in workers)


def show(rows: list[dict[str, Any]]) -> None:
    print(f"{'kind':8} {'asked':>6} {'as expected':>12} {'median s':>9} {'longest s':>10}  classes")
    for kind in ("fine", *SHARES):
        own = [row for row in rows if row["kind"] == kind]
        seconds = [row["s"] for row in own] or [0.0]
        classes = ", ".join(
            f"{name} {count}" for name, count in Counter(row["class"] for row in own).most_common()
        )
        good = sum(row["as_expected"] for row in own)
        print(f"{kind:8} {len(own):6} {good:12} {statistics.median(seconds):9.2f} {max(seconds):10.2f}  {classes}")
    for row in rows:
        if not row["as_expected"]:
            print("not as expected:", json.dumps(row))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cairn-isolation-") as scratch:
        tempfile.tempdir = scratch  # the services' folders, to see that none is left
        folder = Path(scratch) / "programs"
        folder.mkdir()
        wanted = cases(options.count, options.seed)
        export(wanted, folder)
        results = options.results or Path(scratch) / "results.jsonl"
        started = time.monotonic()
        starts = run(wanted, options.lanes, folder, results)
        rows = [json.loads(line) for line in results.read_text().splitlines()]
        show(rows)
        processes = psutil.Process().children(recursive=True)
        folders = list(Path(scratch).rglob("compiler-*"))
    bad = (
        sum(not row["as_expected"] for row in rows) + len(processes) + len(folders) + abs(len(rows) - len(wanted))
    )
    print(
        f"{len(rows)} compiles in {time.monotonic() - started:.0f} s with {options.lanes} lanes; "
        f"{starts} compiler processes started, {len(processes)} left over, {len(folders)} folders left over; "
        f"process that asked: {os.getpid()}, here"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
