"""Is anybody honest accused? Every shipped kernel with every variant goes through the judge's questions, cost aside.

    python benchmarks/honest_corpus.py [--problem FOLDER ...] [--target tpu-v5p]

Asked are all check and held-out shapes, the problem's families, the judge's own and a new shape. The table shows for
each variant the largest share of an allowance that it used, on the problem's families and on the judge's own, and
what the problem could not be asked about. Peers that ship with jax are shown too; some of them are rougher than their
problem allows, which is no accusation of the judge's own families. Takes minutes.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cairn.judge.case import OWN_FAMILY, Case
from cairn.judge.protocol import VariantSource
from cairn.judge.referee import Judge
from cairn.problem import load_problem
from cairn.roofline import parse_target

ROOT = Path(__file__).resolve().parents[1]


def shares(case: Case, *, own: bool) -> Iterator[float]:
    """Shares of the allowances that were used; exact outputs, which have none, are left out."""
    for check in case.checks:
        if check["family"].startswith(OWN_FAMILY) is own:
            for output in check["outputs"]:
                for measure in ("rms", "peak"):
                    if output[f"allowed_{measure}"]:
                        yield output[measure] / output[f"allowed_{measure}"]


def show(folder: Path, target: str) -> int:
    """One line a variant; how many were refused."""
    problem = load_problem(folder)
    refused = 0
    with Judge(problem, parse_target(target), python=Path(sys.executable)) as judge:
        for name in problem.variants():
            started = time.monotonic()
            case = judge.check(VariantSource.read(problem.variant(name)))
            refused += case.ruling is not None
            found = "right" if case.ruling is None else f"{case.ruling.reason}: {case.ruling.detail[:100]}"
            used = [max(shares(case, own=own), default=0.0) for own in (False, True)]
            unasked = [key for key, said in case.facts.get("own_families", {}).items() if said != "held"]
            seconds = time.monotonic() - started
            row = f"{problem.name:22} {name:20} {used[0]:6.2f} {used[1]:6.2f} {seconds:6.1f} s  {found}"
            print(f"{row}{'; not asked: ' + ', '.join(unasked) if unasked else ''}", flush=True)
    return refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", type=Path, nargs="*", default=None, metavar="FOLDER")
    parser.add_argument("--target", default="tpu-v5p")
    options = parser.parse_args()
    kernels, honest = ROOT.glob("kernels/*/problem.yaml"), ROOT.glob("tests/honest/*/problem.yaml")
    folders = options.problem or [path.parent for path in sorted([*kernels, *honest])]
    print(f"{'problem':22} {'variant':20} {'theirs':>6} {'ours':>6} {'took':>8}  found")
    refused = sum(show(folder, options.target) for folder in folders)
    print(f"{refused} refused")


if __name__ == "__main__":
    main()
