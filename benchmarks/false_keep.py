"""How often identical code is kept, and how often a real change is found, by the judge's rule and by three others.

    python benchmarks/false_keep.py [--nulls 300] [--effects 10] [--samples FILE.jsonl]

Null candidates are the incumbent's own program. Real changes are a loop that runs 2 % or 5 % more or fewer rounds.
Every decision is the judge's whole protocol: fresh processes, pairs in random order, an anytime-valid test. The
other rules are applied to the same samples:

    stored baseline   this process' median against the incumbent's median of another process, threshold 1 %
    block medians     median against median in one process, threshold 1 %
    mean of 5         mean of the first five samples of each, threshold 1 %

With no false keep among n nulls the rate is below 3 / n with 95 % confidence. Samples are written as they come, so a
run that is cut short is not lost: the same file continues.
"""

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from cairn.judge.protocol import JudgeLimits, Runner, VariantSource
from cairn.judge.timing import Timing, TimingPlan, measure

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
    if timing.faster.reached(timing.plan.alpha):
        return "keep"
    return "discard" if timing.slower.reached(timing.plan.alpha) else "inconclusive"


def others(timing: Timing, stored_s: float | None) -> dict[str, bool]:
    """Whether the other rules would keep, on the first process' samples."""
    theirs, mine = zip(*timing.samples[0], strict=True)
    against = stored_s if stored_s is not None else statistics.median(theirs)
    return {
        "stored baseline": statistics.median(mine) < 0.99 * against,
        "block medians": statistics.median(mine) < 0.99 * statistics.median(theirs),
        "mean of 5": statistics.fmean(mine[:5]) < 0.99 * statistics.fmean(theirs[:5]),
    }


def collect(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    python = Path(sys.executable)
    plan = TimingPlan()
    rows = (
        [json.loads(line) for line in arguments.samples.read_text().splitlines()]
        if arguments.samples.exists()
        else []
    )
    wanted = {"null": arguments.nulls, **dict.fromkeys(CHANGES, arguments.effects)}
    incumbent = program(python, ROUNDS)
    stored_s: float | None = None
    for kind, count in wanted.items():
        candidate = incumbent if kind == "null" else program(python, CHANGES[kind])
        for index in range(sum(row["kind"] == kind for row in rows), count):
            started = time.perf_counter()
            timing = measure(python, "cpu", (incumbent, candidate), inputs(), plan, lambda chosen, outputs: None)
            row = {
                "kind": kind,
                "decision": decided(timing),
                "pairs": sum(map(len, timing.samples)),
                "least": timing.least_effect,
                "seconds": time.perf_counter() - started,
                **others(timing, stored_s),
            }
            stored_s = statistics.median(theirs for theirs, _ in timing.samples[0])
            rows.append(row)
            with arguments.samples.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(
                f"\r{kind} {index + 1} of {count}: {row['decision']}        ", end="", file=sys.stderr, flush=True
            )
    print(file=sys.stderr)
    return rows


def report(rows: list[dict[str, Any]]) -> None:
    nulls = [row for row in rows if row["kind"] == "null"]
    false = sum(row["decision"] == "keep" for row in nulls)
    bound = upper_bound(false, len(nulls))
    print(f"identical code: {false} of {len(nulls)} kept; rate below {bound:.1%} with 95 % confidence")
    for rule in ("stored baseline", "block medians", "mean of 5"):
        kept = sum(bool(row[rule]) for row in nulls)
        print(f"  the same samples, {rule:<16} {kept:>4} of {len(nulls)} kept ({kept / len(nulls):.0%})")
    print(
        f"\n{'change':<8} {'n':>3} {'keep':>6} {'discard':>8} {'inconclusive':>13} {'median pairs':>13} {'median s':>9}"
    )
    for kind in ("null", *CHANGES):
        mine = [row for row in rows if row["kind"] == kind]
        if mine:
            counts = [sum(row["decision"] == d for row in mine) for d in ("keep", "discard", "inconclusive")]
            pairs, seconds = (statistics.median(row[key] for row in mine) for key in ("pairs", "seconds"))
            line = f"{counts[0]:>6} {counts[1]:>8} {counts[2]:>13} {pairs:>13.0f} {seconds:>9.1f}"
            print(f"{kind:<8} {len(mine):>3} {line}")
    print(
        f"\nleast effect seen with 80 % power, median over runs: {statistics.median(r['least'] for r in rows):.1%}"
    )


def upper_bound(successes: int, trials: int) -> float:
    """One-sided 95 % Clopper-Pearson bound, by bisection on the binomial distribution."""

    def at_most(rate: float) -> float:
        return sum(math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(successes + 1))

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(middle) > 0.05 else (low, middle)
    return high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nulls", type=int, default=300, help="null candidates")
    parser.add_argument("--effects", type=int, default=10, help="candidates for each real change")
    parser.add_argument("--samples", type=Path, default=Path(".cairn/false_keep.jsonl"), help="results so far")
    arguments = parser.parse_args()
    arguments.samples.parent.mkdir(parents=True, exist_ok=True)
    report(collect(arguments))


if __name__ == "__main__":
    main()
