"""How long the lab takes, in ratios within one run.

    python benchmarks/lab_latency.py [--target tpu-v5e] [--repeats 5] [--points 40] [--lanes 2]

Cold start: a fresh compiler process until its first schedule. Warm: compile and predict a kernel of about 1,000
bundles, beside what the compiler itself takes for it. Cache: the same question again. Sweep: a grid one point at a
time and with several lanes, both without a cache. Long grid: predicting 4,096 steps, beside 2,048. Times are wall
clock; what else the machine does is in them, so the processor time of the same work stands beside them.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cairn.lab import chip
from cairn.lab.bench import Bench
from cairn.lab.cache import Cache
from cairn.lab.facts import facts_of
from cairn.lab.lowering import Request
from cairn.lab.predict import predict
from cairn.lab.service import CompileService
from cairn.lab.subject import Subject
from cairn.lab.sweep import Plan, bench_settings, sweep
from cairn.lab.user_files import find

TOYS = Path(__file__).resolve().parents[1] / "tests" / "lab" / "toy_kernels.py"
PYTHON = Path(sys.executable)


def timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def processor_s() -> float:
    """Processor time of this process and of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def row(what: str, seconds: list[float], processor: list[float], beside: str, limit: str) -> None:
    wall, own = statistics.median(seconds) * 1000, statistics.median(processor) * 1000
    print(f"{what:52} {wall:9,.1f} ms {own:9,.1f} ms cpu   {beside:40} {limit}", flush=True)


def cold(target: str, program: bytes) -> None:
    """A process that nobody has started before: import, libtpu, first compile and its prediction."""
    seconds, processor, own = [], [], []
    for _ in range(3):
        used = processor_s()
        with CompileService(PYTHON) as service:
            started = time.perf_counter()
            result = service.compile(program, target, 120)
            predict(result, target)
            seconds.append(time.perf_counter() - started)
            own.append(result.seconds["compile"] + result.seconds["lower"])
        processor.append(processor_s() - used)
    row("cold start to first prediction", seconds, processor,
        f"compiler itself {statistics.median(own):.2f} s of it", "<= 3 s")  # fmt: skip


def warm(target: str, program: bytes, repeats: int) -> None:
    """A kernel of some 1,000 bundles, again and again, without a cache."""
    beyond, processor, own = [], [], []
    with CompileService(PYTHON) as service:
        service.compile(program, target, 120)
        for _ in range(repeats):
            started, used = time.perf_counter(), time.process_time()
            result = service.compile(program, target, 120)
            prediction = predict(result, target)
            assert prediction.us is not None
            own.append(result.seconds["compile"])
            beyond.append(time.perf_counter() - started - own[-1])
            processor.append(time.process_time() - used)
    bundles = facts_of(result.dump, result.custom_calls[0], chip.load(target)).bundles
    row(f"warm compile + predict, {bundles:,} bundles, beyond compiler", beyond, processor,
        f"{statistics.median(beyond) / statistics.median(own):.2f} x the compiler's {statistics.median(own):.2f} s",
        "<= 700 ms")  # fmt: skip


def cached(target: str, subject: Subject, folder: Path, repeats: int) -> None:
    """The same question again: lowering, compile and prediction all come from disk, without any process."""
    with Bench(PYTHON, target, cache=Cache(folder)) as bench:
        first = timed(lambda: bench.predict(subject))
    hits, processor = [], []
    for _ in range(repeats):
        used = processor_s()
        with Bench(PYTHON, target, cache=Cache(folder)) as bench:
            hits.append(timed(lambda: bench.predict(subject)))  # called at once
        processor.append(processor_s() - used)
    row("cache hit, of the whole answer", hits, processor,
        f"1/{first / statistics.median(hits):,.0f} of the first time", "<= 30 ms")  # fmt: skip


def long_grid(target: str) -> None:
    """Predict a grid that is twice as long, too."""
    seconds: dict[int, list[float]] = {2048: [], 4096: []}
    processor: dict[int, list[float]] = {2048: [], 4096: []}
    with Bench(PYTHON, target) as bench:
        for steps in seconds:
            compiled = bench.compile(_toy("add", steps=steps)).compiled
            assert compiled is not None
            for _ in range(3):
                used = processor_s()
                seconds[steps].append(timed(lambda: predict(compiled, target)))  # noqa: B023  # called at once
                processor[steps].append(processor_s() - used)
    ratio = statistics.median(processor[4096]) / statistics.median(processor[2048])
    row("predict a grid of 4,096 steps", seconds[4096], processor[4096],
        f"{ratio:.2f} x the processor time of 2,048", "< 1,000 ms")  # fmt: skip


def swept(target: str, subject: Subject, points: int, lanes: int) -> None:
    """The same grid with one lane and with several."""
    blocks = (128, 256, 512)
    grid = [
        {"size": 1024 + 512 * (n // 9), "block": blocks[n % 3], "depth": blocks[n // 3 % 3]} for n in range(points)
    ]
    settings = bench_settings(str(PYTHON), target, None, 300.0)
    seconds, processor = [], []
    for workers in (1, lanes):
        used = processor_s()
        seconds.append(timed(lambda: sweep(Plan(subject, settings, grid, workers, True))))  # noqa: B023  # at once
        processor.append(processor_s() - used)
    beside = (
        f"{seconds[0] / seconds[1]:.2f} x the rate of one, {processor[1] / processor[0]:.2f} x its processor time"
    )
    row(f"sweep of {points} points with {lanes} lanes ({os.cpu_count()} cores)", seconds[1:], processor[1:],
        beside, ">= 1.7 x")  # fmt: skip


def _toy(name: str, **settings: int) -> Subject:
    return Subject(name, find(f"{TOYS}:{name}"), Request(settings))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="tpu-v5e")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--lanes", type=int, default=2)
    options = parser.parse_args()
    subject = _toy("matmul", size=1024, block=256, depth=512)
    with tempfile.TemporaryDirectory(prefix="cairn-latency-") as scratch:
        with Bench(PYTHON, options.target) as bench:
            program = bench._program(subject, locations=False)
        assert isinstance(program, bytes)
        print(f"{options.target}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        cold(options.target, program)
        warm(options.target, program, options.repeats)
        cached(options.target, subject, Path(scratch), options.repeats)
        long_grid(options.target)
        swept(options.target, _toy("matmul"), options.points, options.lanes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
