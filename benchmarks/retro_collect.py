"""How long collecting takes: 1,000 reports of 50 KB, read for the first time, then unchanged, then ten changed.

    python benchmarks/retro_collect.py [--reports 1000] [--kb 50]

The reports have the shapes of real ones: prose with figures, bullets, wide and key-value tables, YAML, logs in fences.
"""

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

from cairn.registry import load_registry
from cairn.retro.collect import collect
from cairn.retro.store import Store


def report(number: int, size: int) -> str:
    """One report of about `size` bytes, different from all others."""
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
            f"| `v{row}` | {2**row} | {draw.uniform(100, 900):.2f} | {draw.randrange(20000, 40000)} | {draw.random() * 6:.5f} |"
            for row in range(6)
        ]
        lines += ["", "| Metric | Baseline | New | Delta |", "|---|---|---|---|"]
        lines += [
            f"| Throughput (tok/s) | {draw.uniform(10, 40):.1f}k | {draw.uniform(10, 40):.1f}k | +{draw.random():.1f}% |",
            "",
        ]
        sentence = (
            "The change kept the loss while the step became shorter, which we had not expected from the profile."
        )
        lines += [
            f"{sentence} It saved about {draw.uniform(1, 9):.1f}% of the time at step {draw.randrange(1000)}.",
            sentence * 3,
            "",
        ]
        lines += ["```yaml", f"lr: {draw.random() / 1000:.2e}", f"batch: {2 ** draw.randrange(8)}", "```", ""]
    return "\n".join(lines)


def timed(root: Path) -> tuple[float, int, int]:
    start = time.perf_counter()
    with Store(root) as store:
        found = collect(load_registry(root), store)
    return time.perf_counter() - start, len(found.read), sum(row.facts for row in found.rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=int, default=1000)
    parser.add_argument("--kb", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = root / "training_reports"
        folder.mkdir()
        (root / "registry.json").write_text('{"domain": "research", "paths": {"reports": "training_reports/"}}')
        for number in range(options.reports):
            (folder / f"sweep-{number:04d}.md").write_text(report(number, options.kb * 1000))
        total = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{options.reports} reports, {total / 1e6:.1f} MB, {len(os.sched_getaffinity(0))} cores")
        print(f"{'':<14}{'seconds':>9}{'read':>7}{'facts':>10}{'MB/s':>8}")
        for label in ("first", "unchanged", "ten changed"):
            if label == "ten changed":
                for path in sorted(folder.iterdir())[:10]:
                    path.write_text(path.read_text() + "\n- loss: 1.25\n")
            seconds, read, facts = timed(root)
            print(f"{label:<14}{seconds:>9.2f}{read:>7}{facts:>10}{total / 1e6 / seconds:>8.1f}")


if __name__ == "__main__":
    main()
