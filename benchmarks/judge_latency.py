"""Where the time of a judgement goes, stage by stage, and what locking the worker in costs.

    python benchmarks/judge_latency.py [PROBLEM ...] [--variant NAME] [--target tpu-v5p] [--empty-cache]
    python benchmarks/judge_latency.py --isolation [--runs N]

The first judgement is cold: oracle, baseline and compiler start and compile for the first time. The second, of the
same variant by the same judge, is warm. `cpu` is processor time of the judge and of all its processes, which says
more than the wall clock on a machine that others use. At the end a table compares problems: `decided` is the
time until the stages that every variant goes through are done, `last look` what a KEEP takes on top: to choose blocks
(begin), beyond, confirm.

With `--empty-cache` nothing is remembered from earlier runs either: what the compiler said of the same programs, the
baseline's lowered programs, which axes are independent. So it is the first judgement of a new installation.

With `--isolation` workers of all levels take turns, so that a drift of the machine's speed hits all alike;
differences are between neighbours in time, to `process`.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from cairn.judge.case import Case
from cairn.judge.protocol import VariantSource
from cairn.judge.referee import Judge
from cairn.problem import load_problem
from cairn.roofline import parse_target
from cairn.worker_process import LEVELS, WorkerProcess

ROOT = Path(__file__).resolve().parents[1]
TOY = ROOT / "tests" / "toy" / "axpy"
PYTHON = Path(sys.executable)
_CALLS = 200
_LAST_LOOK = ("begin", "beyond", "confirm", "trace")


def timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def stages_of(case: Case) -> dict[str, float]:
    """Seconds per stage; one that is run twice (frozen) is added up."""
    seconds: dict[str, float] = {}
    for entry in case.stages:
        seconds[entry["stage"]] = seconds.get(entry["stage"], 0.0) + float(entry["s"])
    return seconds


def timed_beginnings(judge: Judge) -> list[float]:
    """Fills with the seconds that a KEEP's last look takes to choose blocks, before its first stage."""
    seconds: list[float] = []
    confirmer = judge._confirmer
    if confirmer is not None:
        begin = confirmer.begin
        confirmer.begin = lambda *asked: seconds.append(timed(lambda: begin(*asked)))  # type: ignore[method-assign]
    return seconds


def processor_s() -> float:
    """Seconds of this process, of those that it started and of those that these have waited for."""
    tree = [psutil.Process(), *psutil.Process().children(recursive=True)]
    seconds = 0.0
    for process in tree:
        with contextlib.suppress(psutil.Error):
            seconds += sum(process.cpu_times()[:4])
    return seconds


@dataclass(frozen=True)
class Row:
    """One problem, cold and warm: seconds until the cost is decided, of the last look, and of processors."""

    name: str
    outcome: str
    decided_s: tuple[float, float]
    last_look_s: tuple[float, float]
    cpu_s: tuple[float, float]


def show_judgement(folder: Path, target: str, name: str | None) -> Row:
    problem = load_problem(folder)
    variant = VariantSource.read(problem.variant(name or problem.start))
    columns: list[dict[str, float]] = []
    outcomes, spent = [], []
    before = processor_s()
    judge = Judge(problem, parse_target(target), python=PYTHON)
    opened = timed(judge.__enter__)
    begun = timed_beginnings(judge)
    with judge._stack:
        for start in (opened, 0.0):
            cases: list[Case] = []
            begun.clear()
            total = timed(lambda: cases.append(judge.judge(variant)))  # noqa: B023  # called at once
            stages = {**stages_of(cases[0]), "begin": sum(begun)}
            between = total - sum(stages.values())
            columns.append({"start": start, **stages, "between": between, "total": start + total})
            ruling = cases[0].ruling
            outcomes.append(f"{cases[0].verdict.value} {ruling.reason if ruling else ''}")
            spent.append(processor_s() - before)
            before += spent[-1]
    print(f"\n{problem.name} / {variant.name}, {target}: {', then '.join(outcomes)}")
    print(f"{'stage':<12} {'cold s':>8} {'warm s':>8}")
    for stage in columns[0]:
        print(f"{stage:<12} {columns[0][stage]:>8.2f} {columns[1].get(stage, 0.0):>8.2f}")
    print(f"{'cpu':<12} {spent[0]:>8.2f} {spent[1]:>8.2f}", flush=True)
    looks = [sum(column.get(stage, 0.0) for stage in _LAST_LOOK) for column in columns]
    decided = [column["total"] - look for column, look in zip(columns, looks, strict=True)]
    return Row(
        f"{problem.name}/{variant.name}",
        outcomes[-1],
        (decided[0], decided[1]),
        (looks[0], looks[1]),
        (spent[0], spent[1]),
    )


def show_table(rows: list[Row]) -> None:
    print(f"\n{'cold, warm; seconds':<40} {'decided':>14} {'last look':>14} {'processors':>14}  verdict")
    for row in rows:
        pairs = (f"{cold:.1f}, {warm:.1f}" for cold, warm in (row.decided_s, row.last_look_s, row.cpu_s))
        print(f"{row.name:<40} " + " ".join(f"{pair:>14}" for pair in pairs) + f"  {row.outcome}")


def measure_level(level: str) -> dict[str, float]:
    """Milliseconds: until the worker has told its level, until a variant is loaded, per call, to end it."""
    text = (TOY / "variants" / "pallas_axpy.py").read_bytes()
    specs = [{"shape": [64, 1024], "dtype": "float32"}] * 2
    blobs = [np.ones((64, 1024), np.float32).tobytes()] * 2
    call = {"op": "call", "inputs": specs, "interpreter": "hlo"}
    started = time.perf_counter()
    worker = WorkerProcess(PYTHON, "candidate", isolation=level)
    reached = worker.isolation.level
    told = time.perf_counter()
    worker.ask({"op": "load", "name": "pallas_axpy", "config": {}}, [text], timeout_s=60)
    loaded = time.perf_counter()
    worker.ask(call, blobs, timeout_s=60)
    calls = [timed(lambda: worker.ask(call, blobs, timeout_s=60)) for _ in range(_CALLS)]
    ended = timed(worker.close)
    assert reached == level, f"this machine gives {reached} at most"
    seconds = {
        "locked": told - started,
        "loaded": loaded - started,
        "call": statistics.median(calls),
        "end": ended,
    }
    return {name: 1e3 * value for name, value in seconds.items()}


def show_isolation(runs: int) -> None:
    with WorkerProcess(PYTHON, "candidate") as worker:
        levels = LEVELS[LEVELS.index(worker.isolation.level) :]
        if worker.isolation.level == "landlock":
            levels = ("landlock", "process")
    taken: dict[str, list[dict[str, float]]] = {level: [] for level in levels}
    for index in range(runs + 1):
        for level in levels[index % len(levels) :] + levels[: index % len(levels)]:
            found = measure_level(level)
            if index:  # the first round warms the file cache
                taken[level].append(found)
    print(f"{runs} runs of each level in turn; milliseconds, median, and the median difference to `process`")
    print(f"{'level':<22} {'locked in':>16} {'variant loaded':>16} {'one call':>16} {'ended':>16}")
    for level, samples in taken.items():
        cells = []
        for name in ("locked", "loaded", "call", "end"):
            pairs = zip(samples, taken["process"], strict=True)
            difference = statistics.median(mine[name] - bare[name] for mine, bare in pairs)
            cells.append(f"{statistics.median(s[name] for s in samples):.2f} ({difference:+.2f})")
        print(f"{level:<22} " + " ".join(f"{cell:>16}" for cell in cells))


def folder_of(name: str) -> Path:
    """A problem's folder, by its name or its path."""
    return ROOT / "kernels" / name if (ROOT / "kernels" / name).is_dir() else Path(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", help="names below kernels/, or folders; default: the toy and gdn")
    parser.add_argument("--variant", help="default: the problem's own start")
    parser.add_argument("--target", default="tpu-v5p")
    parser.add_argument("--empty-cache", action="store_true", help="remember nothing from earlier runs")
    parser.add_argument("--isolation", action="store_true", help="compare the levels instead")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    if arguments.isolation:
        show_isolation(arguments.runs)
        return
    folders = [folder_of(name) for name in arguments.problems] or [TOY, ROOT / "kernels" / "gdn"]
    with contextlib.ExitStack() as stack:
        if arguments.empty_cache:
            os.environ["CAIRN_CACHE"] = stack.enter_context(tempfile.TemporaryDirectory())
        show_table([show_judgement(folder, arguments.target, arguments.variant) for folder in folders])


if __name__ == "__main__":
    main()
