"""How long collecting takes: 1,000 reports of 50 KB, read for the first time, then unchanged, then ten changed.

    python benchmarks/retro_collect.py [--reports 1000] [--kb 50] [--prose 4]

With `--prose 4` there are as many figures in a kilobyte as in reports of real projects (about 15), with 1 twice as
many. The reports have the shapes of real ones: prose with figures, bullets, wide and key-value tables, YAML, logs in
fences.
"""

import argparse
import os
import random
import resource
import tempfile
import time
from pathlib import Path

from cairn.registry import load_registry
from cairn.retro.collect import collect
from cairn.retro.store import Store


def report(number: int, size: int, prose: int = 4) -> str:
    """One report of about `size` bytes, different from all others; `prose`: how many sentences stand round a number."""
    draw = random.Random(number)
    lines = [
        f"# Report: sweep {number}",
        "",
        f"**Date:** 2026-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}",
        "",
    ]
    part = 0
    while sum(map(len, lines)) + len(lines) < size:
        part += 1
        lines += [
            f"### Run {part}: variant-{draw.randrange(10**6):x}",
            "",
            "- Hardware: `2x A100 40GB`, PyTorch 2.6.0",
        ]
        lines += [f"- elapsed `{draw.uniform(100, 900):.2f}s`, peak `{draw.randrange(20000, 40000)} MiB`", ""]
        lines += [
            "| Variant | Local batch | Elapsed (s) | Peak VRAM (MiB) | Final loss |",
            "|---|---:|---:|---:|---:|",
        ]
        lines += [
            f"| `v{row}` | {2**row} | {draw.uniform(100, 900):.2f} | {draw.randrange(20000, 40000)}"
            f" | {draw.random() * 6:.5f} |"
            for row in range(6)
        ]
        lines += ["", "| Metric | Baseline | New | Delta |", "|---|---|---|---|"]
        lines += [
            f"| Throughput (tok/s) | {draw.uniform(10, 40):.1f}k | {draw.uniform(10, 40):.1f}k"
            f" | +{draw.random():.1f}% |",
            "",
        ]
        sentence = (
            "The change kept the loss while the step became shorter, which we had not expected from the profile."
        )
        lines += [
            f"{sentence} It saved about {draw.uniform(1, 9):.1f}% of the time at step {draw.randrange(1000)}.",
            *[f"- {sentence} {sentence}"] * prose,
            sentence * prose,
            "",
        ]
        lines += ["```yaml", f"lr: {draw.random() / 1000:.2e}", f"batch: {2 ** draw.randrange(8)}", "```", ""]
    return "\n".join(lines)


def timed(root: Path) -> tuple[float, float, int, int]:
    """Seconds by the clock, seconds of processors, sources read, facts known."""
    start, before = time.perf_counter(), processor_seconds()
    with Store(root) as store:
        found = collect(load_registry(root), store)
    spent = time.perf_counter() - start, processor_seconds() - before
    return *spent, len(found.read), sum(row.facts for row in found.rows)


def processor_seconds() -> float:
    """Of this process and all it waited for: what it would take on one idle core."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=int, default=1000)
    parser.add_argument("--kb", type=int, default=50)
    parser.add_argument("--prose", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = root / "training_reports"
        folder.mkdir()
        (root / "registry.json").write_text('{"domain": "research", "paths": {"reports": "training_reports/"}}')
        for number in range(options.reports):
            (folder / f"sweep-{number:04d}.md").write_text(report(number, options.kb * 1000, options.prose))
        total = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{options.reports} reports, {total / 1e6:.1f} MB, {len(os.sched_getaffinity(0))} cores")
        print(f"{'':<14}{'seconds':>9}{'cpu s':>8}{'read':>7}{'facts':>10}{'MB/s':>8}{'facts/kB':>10}")
        for label in ("first", "unchanged", "ten changed"):
            if label == "ten changed":
                for path in sorted(folder.iterdir())[:10]:
                    path.write_text(path.read_text() + "\n- loss: 1.25\n")
            seconds, cpu_s, read, facts = timed(root)
            rates = f"{total / 1e6 / seconds:>8.1f}{facts / total * 1e3:>10.1f}"
            print(f"{label:<14}{seconds:>9.2f}{cpu_s:>8.2f}{read:>7}{facts:>10}{rates}")


if __name__ == "__main__":
    main()
