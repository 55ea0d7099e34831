"""Every cheat of the corpus is refused, for the right reason.

Each file in `axpy/` is a variant that tries to be kept without being better. Its docstring names the class of the
catalogue it belongs to and the reasons that count as caught. KEEP is never among them. `Against:` names a slow
incumbent, which the variant would beat by far if what it leaves out were not seen.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn.judge.protocol import JudgeLimits, VariantSource
from cairn.judge.referee import Judge
from cairn.judge.verdict import REASONS, Verdict
from cairn.problem import load_problem
from cairn.roofline import parse_target
from workspace import TOY, toy_to_time

CORPUS = sorted((Path(__file__).parent / "axpy").glob("*.py"))
CLOCK = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 31, 44}
# honest on a CPU, where a copy is done when it is begun, no kernel has a configuration, and the other branch is taken
CHIP_ONLY = {"copy_not_waited_for", "counter_decides_the_work", "tiny_steps"}
CHIP_ONLY |= {"configuration_twice", "second_function", "honest_on_the_cpu", "rounding_decides_the_copies"}
# nor are constants too small for a chip zero here, or words copied to a scalar memory that a processor has not
CHIP_ONLY |= {"smaller_than_any_float", "store_under_the_copy", "turns_by_a_remainder", "word_behind_the_copy"}
LIMITS = JudgeLimits(load_s=20, export_s=30, call_s=40, memory_bytes=3 * 2**30)

pytestmark = [pytest.mark.tpu_compiler, pytest.mark.timeout(180)]


def class_of(path: Path) -> int:
    found = re.search(r"Class (\d+): ", path.read_text())
    assert found, f"{path.name} names no class"
    return int(found[1])


def expected(path: Path) -> set[str]:
    found = re.search(r"^Expect: (.+)$", path.read_text(), re.M)
    assert found, f"{path.name} says not how it is caught"
    return {reason.strip() for reason in found[1].split(",")}


def incumbent_of(path: Path) -> VariantSource | None:
    found = re.search(r"^Against: (\w+) block=(\d+)$", path.read_text(), re.M)
    return found and VariantSource.read(TOY / "variants" / f"{found[1]}.py", {"block": int(found[2])})


@pytest.fixture(scope="module", params=["tpu-v5p"])
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    with Judge(
        load_problem(TOY), parse_target(request.param), python=Path(sys.executable), limits=LIMITS
    ) as judge:
        yield judge


@pytest.fixture(scope="module")
def measuring_judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    toy = toy_to_time(tmp_path_factory.mktemp("toy"))
    with Judge(load_problem(toy), parse_target("cpu:device"), python=Path(sys.executable), limits=LIMITS) as judge:
        yield judge


def test_the_corpus_is_what_it_says() -> None:
    assert len(CORPUS) >= 90
    assert len({class_of(path) for path in CORPUS}) >= 25
    for path in CORPUS:
        for reason in expected(path):
            assert reason in REASONS, f"{path.name}: {reason}"
            assert REASONS[reason][0] is not Verdict.KEEP


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_predicted(judge: Judge, path: Path) -> None:
    case = judge.judge(VariantSource.read(path), incumbent_of(path), margin=0.05)
    assert case.ruling is not None
    assert case.verdict is not Verdict.KEEP, case.ruling
    assert case.ruling.reason in expected(path), case.ruling


MEASURED = [path for path in CORPUS if class_of(path) in CLOCK and path.stem not in CHIP_ONLY]


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_measured(measuring_judge: Judge, path: Path) -> None:
    case = measuring_judge.judge(VariantSource.read(path))
    assert case.ruling is not None
    assert case.verdict is not Verdict.KEEP, case.ruling
