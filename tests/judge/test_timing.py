"""Timing: the statistics against simulation, and real pairs of programs in real processes on the CPU."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn.judge import evidence
from cairn.judge.protocol import VariantSource
from cairn.judge.record import record_of
from cairn.judge.referee import Judge
from cairn.problem import load_problem
from cairn.roofline import parse_target
from workspace import TOY

HEAD = (
    "import dataclasses\nimport jax.numpy as jnp\n@dataclasses.dataclass(frozen=True)\nclass Config:\n    pass\n"
)


def variant(body: str) -> VariantSource:
    return VariantSource("mine", f"{HEAD}def run(x, y, *, config):\n    {body}\n".encode())


def noisy(median: float, spread: float, pairs: int, seed: int) -> list[list[float]]:
    """Three processes of log-ratios, each with a small offset of its own and a heavy tail."""
    rng = random.Random(seed)
    processes = []
    for _ in range(3):
        offset = rng.gauss(0, spread / 20)
        processes.append([median + offset + spread * rng.gauss(0, 1) / rng.random() ** 0.3 for _ in range(pairs)])
    return processes


def test_wealth_is_a_fair_game() -> None:
    """Under the null the expected wealth is 1 at every length: sum over coins of P(heads) times wealth."""
    from math import comb

    for pairs in (1, 5, 40):
        fair = sum(comb(pairs, heads) * 0.5**pairs * evidence.wealth(pairs, heads) for heads in range(pairs + 1))
        assert fair == pytest.approx(1.0, rel=1e-3)
    assert evidence.wealth(40, 40) > 1e9
    assert evidence.wealth(40, 20) < 1


def test_looking_all_the_time_does_not_fool_it() -> None:
    """Identical code, a look after every process up to ten: false keeps stay below alpha."""
    false_keeps = 0
    for seed in range(400):
        processes: list[list[float]] = []
        for index in range(10):
            processes += noisy(0.0, 0.1, 40, 1000 * seed + index)[:1]
            if len(processes) >= 3 and evidence.faster(processes, 0.01).reached(0.05):
                false_keeps += 1
                break
    assert false_keeps <= 400 * 0.05


def test_a_real_gain_is_found_and_its_direction_known() -> None:
    found = sum(evidence.faster(noisy(-0.05, 0.05, 130, seed), 0.01).reached(0.05) for seed in range(50))
    assert found >= 45
    processes = noisy(0.05, 0.05, 130, 1)
    assert not evidence.faster(processes, 0.01).reached(0.05)
    assert evidence.slower(processes, 0.01).reached(0.05)
    ratio, low, high = evidence.interval(processes)
    assert low < ratio < high
    assert low < 1.051 < high


def test_processes_must_agree() -> None:
    """Two fast processes and a slow one are a matter of placement, however strong the sum of the evidence."""
    processes = [[-0.2] * 100, [-0.2] * 100, [0.05] * 40]
    verdict = evidence.faster(processes, 0.01)
    assert verdict.wealth > 20
    assert not verdict.reached(0.05)


def test_the_least_effect_shrinks_with_pairs() -> None:
    processes = noisy(0.0, 0.1, 100, 3)
    few, many = (evidence.least_effect(processes, 0.01, 0.05, pairs) for pairs in (50, 1000))
    assert 0.01 < many < few


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(load_problem(TOY), parse_target("cpu:device"), python=Path(sys.executable)) as judge:
        yield judge


SLOW = "z = 2.0 * x + y\n    for _ in range(3):\n        z = jnp.where(jnp.sin(z) > 2.0, z + 1.0, z)\n    return z"


@pytest.mark.timeout(240)
def test_real_programs_on_the_cpu(judge: Judge) -> None:
    """The plain sum against one with useless sines: kept one way, discarded the other, all of it measured."""
    plain, slow = variant("return y + 2.0 * x"), variant(SLOW)
    kept = judge.judge(plain, slow)
    assert kept.ruling is not None
    assert (kept.verdict.value, kept.ruling.reason) == ("KEEP", "faster")
    lost = judge.judge(slow, plain)
    assert lost.ruling is not None
    assert (lost.verdict.value, lost.ruling.reason) == ("DISCARD", "slower")
    cost = record_of(kept, judge)["cost"]
    assert cost["kind"] == "measured"
    timing = cost["timings"][0]
    assert len(timing["samples_s"]) >= 3
    assert timing["ratio_high"] < 0.9
    assert timing["device"]["platform"] == "cpu"
    assert timing["least_detectable_effect"] > 0
    assert "predicted" not in str(cost)


@pytest.mark.timeout(240)
def test_the_same_code_in_other_words_is_not_kept(judge: Judge) -> None:
    case = judge.judge(variant("return y + 2.0 * x"))
    assert case.ruling is not None
    assert case.verdict.value != "KEEP"
    assert case.verdict.value in ("INCONCLUSIVE", "DISCARD")


def test_a_variant_that_is_right_only_on_small_shapes_is_caught_while_timed(judge: Judge) -> None:
    """The check shapes have up to 192 rows, the timed one 4096: what was timed is compared as well."""
    case = judge.judge(variant("return 2.0 * x + y if x.shape[0] < 1000 else 2.0 * x"))
    assert case.ruling is not None
    assert (case.verdict.value, case.ruling.reason) == ("DISCARD", "wrong_output")


def test_a_callback_cannot_be_timed(judge: Judge) -> None:
    """A program with Python in it cannot be serialised, so it never gets near the clock."""
    shape = "jax.ShapeDtypeStruct(x.shape, x.dtype)"
    body = f"import jax\n    return jax.pure_callback(lambda a, b: 2 * a + b, {shape}, x, y)"
    case = judge.judge(variant(body))
    assert case.verdict.value == "CRASH"
