"""How often identical code is kept, and how often a real change is found, by the judge's rule and by three others.

    python benchmarks/false_keep.py nulls [--minutes M]   300 null candidates
    python benchmarks/false_keep.py power [--minutes M]   real changes; only worth it on an idle machine
    python benchmarks/false_keep.py report                the tables, from what has been measured so far

Null candidates are the incumbent's own program. Real changes are a loop that runs 2 % or 5 % more or fewer rounds.
Every decision is the judge's whole protocol: fresh processes, pairs in random order, an anytime-valid test. The
other rules are applied to the same samples:

    stored baseline   this process' median against the incumbent's median of the run before, threshold 1 %
    block medians     median against median in one process, threshold 1 %
    mean of 5         mean of the first five samples of each, threshold 1 %

With no false keep among n nulls the rate is below 3 / n with 95 % confidence. Every run is appended to the samples
file when it is done, so one that is cut short, by `--minutes` or otherwise, goes on where it stood when it is started
again. A decision takes up to twelve fresh processes; the last column of the table says how long it took.
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from cairn.judge.evidence import upper_bound
from cairn.judge.protocol import JudgeLimits, Runner, VariantSource
from cairn.judge.timing import Timing, measure
from cairn.judge.timing_plan import TimingDevice, TimingPlan

ROUNDS = 100
TEXT = """
import dataclasses
import jax
import jax.numpy as jnp

@dataclasses.dataclass(frozen=True)
class Config:
    rounds: int = 100

def run(x, w, *, config):
    return jax.lax.fori_loop(0, config.rounds, lambda i, y: jnp.tanh(y @ w), x)
"""
SIZE = 64
SPECS = [{"shape": [SIZE, SIZE], "dtype": "float32"}] * 2
CHANGES = {"-5 %": 95, "-2 %": 98, "+2 %": 102, "+5 %": 105}


def program(python: Path, rounds: int) -> bytes:
    """The loop with so many rounds, lowered for the CPU."""
    with Runner(python, JudgeLimits()) as runner:
        runner.load(VariantSource("loop", TEXT.encode(), {"rounds": rounds}))
        return runner.export(SPECS, "cpu")


def inputs() -> list[tuple[list[dict[str, Any]], list[bytes]]]:
    import numpy as np

    rng = np.random.default_rng()
    sets = []
    for _ in range(3):
        arrays = [rng.standard_normal((SIZE, SIZE)).astype(np.float32) / math.sqrt(SIZE) for _ in SPECS]
        sets.append((SPECS, [array.tobytes() for array in arrays]))
    return sets


def decided(timing: Timing) -> str:
    """What the judge's rule says."""
    if timing.is_faster:
        return "keep"
    return "discard" if timing.is_slower else "inconclusive"


def others(timing: Timing, stored_s: float) -> dict[str, bool]:
    """Whether the other rules would keep, on the first process' samples."""
    theirs, mine = zip(*timing.samples[0], strict=True)
    return {
        "stored baseline": statistics.median(mine) < 0.99 * stored_s,
        "block medians": statistics.median(mine) < 0.99 * statistics.median(theirs),
        "mean of 5": statistics.fmean(mine[:5]) < 0.99 * statistics.fmean(theirs[:5]),
    }


def read_rows(path: Path) -> list[dict[str, Any]]:
    """What has been measured; a torn last line is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def measure_kind(kind: str, count: int, path: Path, until: float) -> None:
    """Measure until there are `count` runs of this kind in the file, or the time `until` is reached."""
    rows = read_rows(path)
    python = Path(sys.executable)
    done = sum(row["kind"] == kind for row in rows)
    if done >= count:
        return
    incumbent = program(python, ROUNDS)
    candidate = incumbent if kind == "null" else program(python, CHANGES[kind])
    stored_s = rows[-1]["incumbent_s"] if rows else math.inf
    for index in range(done, count):
        started = time.perf_counter()
        if started > until:
            print(f"{kind}: time is up at {index} of {count}", file=sys.stderr)
            return
        device = TimingDevice(python, "cpu")
        timing = measure(device, (incumbent, candidate), inputs(), TimingPlan(), lambda chosen, outputs: None)
        row = {
            "kind": kind,
            "decision": decided(timing),
            "medians": [round(statistics.median(process), 6) for process in timing.ratios],
            "least": timing.least_effect,
            "incumbent_s": statistics.median(theirs for theirs, _ in timing.samples[0]),
            "load": os.getloadavg()[0],
            "seconds": time.perf_counter() - started,
            **(others(timing, stored_s) if math.isfinite(stored_s) else {}),
        }
        stored_s = row["incumbent_s"]
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{kind} {index + 1} of {count}: {row['decision']}", file=sys.stderr, flush=True)


def report(rows: list[dict[str, Any]]) -> None:
    nulls = [row for row in rows if row["kind"] == "null"]
    false = sum(row["decision"] == "keep" for row in nulls)
    if nulls:
        print(
            f"identical code: {false} of {len(nulls)} kept; "
            f"rate below {upper_bound(false, len(nulls)):.1%} with 95 % confidence"
        )
    for rule in ("stored baseline", "block medians", "mean of 5"):
        said = [row[rule] for row in nulls if rule in row]
        if said:
            print(
                f"  the same samples, {rule:<16} {sum(said):>4} of {len(said)} kept ({sum(said) / len(said):.0%})"
            )
    print(
        f"\n{'change':<8} {'n':>4} {'keep':>6} {'discard':>8} {'inconclusive':>13} {'right':>6} {'at least':>9}",
        end="",
    )
    print(f" {'processes':>10} {'median s':>9} {'load':>5}")
    for kind in ("null", *CHANGES):
        show_kind(kind, [row for row in rows if row["kind"] == kind])
    if rows:
        least = statistics.median(row["least"] for row in rows)
        print(f"\nleast effect seen with 80 % power, median over runs: {least:.1%}")


def show_kind(kind: str, rows: list[dict[str, Any]]) -> None:
    """One row: decisions, the share that is right, and its lower bound with 95 % confidence."""
    if not rows:
        return
    counts = [sum(row["decision"] == decision for row in rows) for decision in ("keep", "discard", "inconclusive")]
    right = {"null": len(rows) - counts[0] - counts[1]}.get(kind, counts[0] if kind.startswith("-") else counts[1])
    bound = 1 - upper_bound(len(rows) - right, len(rows))
    processes = statistics.median(len(row["medians"]) for row in rows)
    seconds, load = (statistics.median(row[key] for row in rows) for key in ("seconds", "load"))
    line = f"{counts[0]:>6} {counts[1]:>8} {counts[2]:>13} {right / len(rows):>6.0%} {bound:>9.0%}"
    print(f"{kind:<8} {len(rows):>4} {line} {processes:>10.0f} {seconds:>9.1f} {load:>5.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("nulls", "power", "report"))
    parser.add_argument("--nulls", type=int, default=300, help="null candidates")
    parser.add_argument("--effects", type=int, default=25, help="candidates for each real change")
    parser.add_argument("--samples", type=Path, default=Path(".cairn/false_keep.jsonl"), help="results so far")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this time and report")
    arguments = parser.parse_args()
    until = time.perf_counter() + 60 * arguments.minutes
    arguments.samples.parent.mkdir(parents=True, exist_ok=True)
    wanted = {"nulls": {"null": arguments.nulls}, "power": dict.fromkeys(CHANGES, arguments.effects), "report": {}}
    for kind, count in wanted[arguments.part].items():
        measure_kind(kind, count, arguments.samples, until)
    report(read_rows(arguments.samples))


if __name__ == "__main__":
    main()
