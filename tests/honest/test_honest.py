"""Nobody honest is accused: variants that are right in ways of their own, on every check and held-out shape.

A case is a variant with a config on one shape with one family of inputs, in float32, bfloat16 or int32. Among them
are operands rounded as the problem declares, orders of summation that depend on the data, and outputs up to 1e9.
`python benchmarks/honest_corpus.py` puts the shipped kernels and all their tunables through the same door.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn.judge.protocol import VariantSource
from cairn.judge.referee import Judge
from cairn.problem import Problem, load_problem
from cairn.roofline import parse_target

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/problem.yaml"))
# configs besides the default one
CONFIGS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("softmax", "online"): [{"part": 64}],
    ("product", "parts_of_k"): [{"part": 32}],
}


def sources(problem: Problem) -> list[VariantSource]:
    """Every variant with every config; the baseline is the measure of the others and no case itself."""
    return [
        VariantSource.read(problem.variant(name), config)
        for name in problem.variants()
        if name != problem.baseline
        for config in [{}, *CONFIGS.get((problem.name, name), [])]
    ]


def cases_of(problem: Problem) -> int:
    shapes = problem.shapes
    return len(sources(problem)) * (len(shapes.check) * len(problem.families) + len(shapes.heldout))


def test_there_are_a_hundred_cases() -> None:
    assert sum(cases_of(load_problem(folder)) for folder in FOLDERS) >= 100


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    with Judge(load_problem(request.param), parse_target("tpu-v5p"), python=Path(sys.executable)) as judge:
        yield judge


@pytest.mark.tpu_compiler
@pytest.mark.timeout(240)
def test_nobody_is_accused(judge: Judge) -> None:
    for source in sources(judge.problem):
        case = judge.check(source)
        assert case.ruling is None, f"{judge.problem.name}/{source.name} {source.config}: {case.ruling}"
        shapes = judge.problem.shapes
        named = [check for check in case.checks if not check["family"].startswith("judge:")]
        assert len(named) >= len(shapes.check) * len(judge.problem.families) + len(shapes.heldout)


@pytest.mark.tpu_compiler
def test_what_is_picked_from_the_inputs_needs_no_more_digits() -> None:
    """The truth of a maximum is one of the inputs: it has no digits beyond theirs, and nothing was rounded."""
    problem = load_problem(Path(__file__).parent / "largest")
    with Judge(problem, parse_target("tpu-v5p"), python=Path(sys.executable)) as judge:
        findings = judge.self_test.run()
    assert next(finding for finding in findings if finding.what == "truth is float64").ok
