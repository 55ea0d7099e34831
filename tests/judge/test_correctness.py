"""How far outputs are off, and whose allowance counts at the shape that is priced."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from cairn.judge import correctness
from cairn.judge.baseline import against_baseline
from cairn.judge.case import Case
from cairn.judge.correctness import Wire
from cairn.judge.examiner import Examiner
from cairn.judge.protocol import Cost, Draw, Runner, VariantSource
from cairn.problem import Problem, Tolerance, load_problem
from workspace import TOY

SHAPE = {"rows": 8}
RNG = np.random.default_rng(7)
TRUTH = RNG.standard_normal((8, 128))
TOLERANCE = Tolerance(multiple=2.0, floor={"float32": 1e-6})
HALF = Tolerance(multiple=1.2, floor={"bfloat16": 2e-3})


def test_errors_are_relative_to_the_truth_as_a_whole() -> None:
    off = TRUTH + 0.01 * RNG.standard_normal(TRUTH.shape)
    rms, peak = correctness.distance(off, TRUTH)
    size = np.sqrt(np.mean(TRUTH**2))
    assert rms == pytest.approx(np.sqrt(np.mean((off - TRUTH) ** 2)) / size)
    assert peak == pytest.approx(np.abs(off - TRUTH).max() / size)
    assert correctness.distance(np.where(TRUTH > 2, np.nan, TRUTH), TRUTH) == (np.inf, np.inf)
    assert correctness.distance(np.zeros((0, 4)), np.zeros((0, 4))) == (0.0, 0.0)


def test_the_widest_earlier_allowance_counts() -> None:
    found = [
        correctness.compare("y", "float32", TRUTH, TRUTH * (1 + by), TRUTH, TOLERANCE).record()
        for by in (1e-3, 1e-2)
    ]
    near = correctness.compare_as_before(found, TRUTH * 1.015, TRUTH)
    far = correctness.compare_as_before(found, TRUTH * 1.03, TRUTH)
    assert near.ok
    assert not far.ok
    assert far.allowed_rms == pytest.approx(2e-2)
    with pytest.raises(ValueError, match="empty"):
        correctness.compare_as_before([], TRUTH, TRUTH)


def test_the_last_place_of_the_largest_element_accuses_nobody() -> None:
    source = VariantSource("mine", b"")
    case = Case(variant=source, incumbent=source)
    found = correctness.compare("y", "bfloat16", TRUTH, TRUTH, TRUTH, HALF)
    case.note_check(SHAPE, "normal", 1, "replay", [found])
    # the largest of millions of probabilities lies hundreds of times above their rms; at a check shape it did not
    base = RNG.standard_normal(2**22)
    base[7] = 512.0
    last_place, wrong = base.copy(), base.copy()
    last_place[7] *= 1 + 2**-7
    wrong[7] *= 1 + 2**-4
    assert against_baseline(case, HALF, "y", "bfloat16", last_place, base).ok
    assert not against_baseline(case, HALF, "y", "bfloat16", wrong, base).ok


class Scripted:
    """Oracle, programs, executor and baseline in one: answers that are off by what they are told."""

    def __init__(self) -> None:
        self.variant_off = self.baseline_off = 0.0
        self.baseline_asked = 0
        self.name = "scripted"
        self.path = Path("baseline.py")

    def draw(self, seed: int, shape: dict[str, int], family: str) -> Draw:
        return Draw(seed, shape, family, [], [], [TRUTH])

    def cost(self, shape: dict[str, int]) -> Cost:
        return Cost(shape["rows"], shape["rows"], shape["rows"], shape["rows"])

    def broken_properties(self, draw: Draw, outputs: object) -> list[str]:
        return []

    def lower(self, *_: object) -> bytes:
        return b"program"

    def run(self, *_: object) -> list[Wire]:
        return self._off_by(self.variant_off)

    def begin(self, *_: object) -> list[Wire]:
        self.baseline_asked += 1
        return self._off_by(self.baseline_off)

    @staticmethod
    def _off_by(share: float) -> list[Wire]:
        return [Wire("float32", TRUTH.shape, (TRUTH * (1 + share)).astype(np.float32).tobytes())]


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def examined(scripted: Scripted) -> tuple[Examiner, Case, Problem]:
    """An examiner that has seen one check shape, where the baseline was off by a thousandth."""
    problem = load_problem(TOY)
    one = cast("Any", scripted)
    examiner = Examiner(problem, one, one, one, one)
    source = VariantSource("v", b"")
    case = Case(source, source)
    scripted.baseline_off = 1e-3
    assert examiner.check(case, cast("Runner", None), SHAPE, problem.families[0]) is None
    return examiner, case, problem


def test_a_priced_shape_asks_the_baseline_only_when_it_has_to(
    scripted: Scripted, examined: tuple[Examiner, Case, Problem]
) -> None:
    examiner, case, problem = examined
    family, asked = problem.families[0], scripted.baseline_asked
    scripted.variant_off = 1e-3
    assert examiner.check_priced(case, cast("Runner", None), {"rows": 64}, family) is None
    assert scripted.baseline_asked == asked
    assert case.checks[-1]["stand_in"]
    scripted.variant_off = 0.1
    ruling = examiner.check_priced(case, cast("Runner", None), {"rows": 64}, family)
    assert ruling is not None
    assert ruling.reason == "wrong_output"
    assert scripted.baseline_asked == asked + 1
    scripted.baseline_off = 0.1  # long sums drift, and the baseline's do as well
    assert examiner.check_priced(case, cast("Runner", None), {"rows": 64}, family) is None
    assert "stand_in" not in case.checks[-1]
