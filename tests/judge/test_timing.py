"""Timing: the statistics against simulation, and real pairs of programs in real processes on the CPU."""

import math
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # an installed libtpu would look for a TPU first

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from cairn.judge import evidence, tracing
from cairn.judge.calibration import Calibration, ShapeNoise, share_of
from cairn.judge.clock import ClockDisagreement, OwnClock
from cairn.judge.protocol import VariantSource
from cairn.judge.record import headline, record_of
from cairn.judge.referee import Judge
from cairn.judge.timing import Timing
from cairn.judge.timing_plan import TimingPlan
from cairn.problem import load_problem
from cairn.roofline import parse_target
from cairn.worker.as_written import call_of
from workspace import toy_to_time

PYTHON = Path(sys.executable)
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

    for coins in (1, 5, 40):
        fair = sum(comb(coins, heads) * 0.5**coins * evidence.wealth(coins, heads) for heads in range(coins + 1))
        assert fair == pytest.approx(1.0, rel=1e-3)
    assert evidence.wealth(40, 40) > 1e9
    assert evidence.wealth(40, 20) < 1
    assert evidence.fewest(0.05) == 5


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.001])
def test_no_null_reaches_the_goal_more_often_than_alpha(alpha: float) -> None:
    """Exactly, by the distribution of all paths, and not for one length only."""
    for most in (5, 12, 40):
        assert evidence.reach_probability(0.5, alpha, most) <= alpha
    assert evidence.reach_probability(0.99, alpha, 2 * evidence.fewest(alpha) + 2) > 0.9


def test_looking_all_the_time_does_not_fool_it() -> None:
    """Identical code whose processes are biased each in its own way, a look after every one: below alpha."""
    false_keeps = 0
    for seed in range(400):
        rng = random.Random(seed)
        processes: list[list[float]] = []
        for _ in range(12):
            bias = rng.gauss(0, 0.03)  # three times the threshold
            processes.append([bias + rng.gauss(0, 0.05) for _ in range(40)])
            if evidence.faster(processes, 0.01).reached(0.05):
                false_keeps += 1
                break
    assert false_keeps <= 400 * 0.05


@pytest.mark.parametrize("scatter", [0.02, 0.04, 0.1])
def test_identical_code_is_hardly_ever_kept_on_a_busy_machine(scatter: float) -> None:
    """Where processes scatter beyond the threshold five of them agree by luck, so more have to."""
    rng, kept = random.Random(11), 0
    for _ in range(800):
        timing = Timing(TimingPlan())
        while len(timing.samples) < timing.plan.processes and not (timing.samples and timing.is_faster):
            bias = rng.gauss(0, scatter)
            timing.samples.append([(1.0, math.exp(bias + rng.gauss(0, 0.005))) for _ in range(9)])
        kept += timing.is_faster
    assert kept <= 800 * 0.015
    assert evidence.level_for(scatter, 0.01, 0.05, 12) <= 0.05


def test_a_gain_far_beyond_the_scatter_needs_no_more_than_the_plan() -> None:
    """Less than half the time, in every process of a machine on which calls take now one time, now five."""
    timing = Timing(TimingPlan())
    timing.samples = [[(theirs, mine)] for theirs, mine in ((14.0, 5.1), (27.0, 10.4), (12.5, 4.9), (7.5, 2.8))]
    assert not timing.is_faster
    timing.samples.append([(5.2, 2.9)])
    assert timing.is_faster
    # identical code that scatters as much, all of it to one side
    timing.samples = [[(1.0, ratio)] for ratio in (0.98, 0.7, 0.85, 0.95, 0.8)]
    assert timing.faster.agreeing == 5
    assert not timing.is_faster


def test_identical_code_hardly_ever_stands_apart() -> None:
    rng, apart = random.Random(5), 0
    for _ in range(4000):
        processes = [[rng.gauss(0, 0.2)] for _ in range(12)]
        apart += any(evidence.stands_apart(processes[:count]) for count in range(5, 13))
    assert apart <= 4000 * 0.0025


def test_a_calm_machine_asks_for_no_more_than_the_plan() -> None:
    assert evidence.level_for(0.005, 0.01, 0.05, 12) == 0.05


def test_a_real_gain_is_found_and_its_direction_known() -> None:
    found = sum(evidence.faster(noisy(-0.05, 0.05, 130, seed) * 2, 0.01).reached(0.05) for seed in range(50))
    assert found >= 45
    processes = noisy(0.05, 0.05, 130, 1) * 2
    assert not evidence.faster(processes, 0.01).reached(0.05)
    assert evidence.slower(processes, 0.01).reached(0.05)
    ratio, low, high = evidence.interval(processes)
    assert low < ratio < high
    assert low < 1.051 < high


def test_pairs_of_one_process_are_one_witness() -> None:
    """Two processes that were lucky with their memory prove nothing, however many pairs they timed."""
    processes = [[-0.2] * 10_000, [-0.2] * 10_000, [0.05] * 40]
    assert not evidence.faster(processes[:2], 0.01).reached(0.05)
    assert not evidence.faster(processes, 0.01).reached(0.05)


def test_the_least_effect_is_what_is_found_four_times_out_of_five() -> None:
    """Simulated against the figure: processes with a known spread and exactly that gain."""
    spread, threshold, alpha = 0.004, 0.01, 0.05
    plan = TimingPlan.spending(alpha, threshold)
    effect = evidence.least_effect(spread, threshold, alpha, plan.processes)
    assert 0.01 < effect < 0.03
    rng = random.Random(7)
    found = 0
    for _ in range(1000):
        processes: list[list[float]] = []
        while len(processes) < plan.processes and not evidence.faster(processes, threshold).reached(alpha):
            processes.append([rng.gauss(math.log1p(-effect), spread)])
        found += evidence.faster(processes, threshold).reached(alpha)
    assert 760 <= found <= 840


def noise(*medians: float, spread: float = 0.003) -> Calibration:
    return Calibration((ShapeNoise({"n": 1}, medians, spread),))


def test_a_calibration_bounds_false_keeps_and_lifts_the_threshold() -> None:
    quiet = noise(*[0.001, -0.002] * 10)
    assert quiet.threshold(0.01, 0.05) == 0.01
    assert quiet.false_keep_bound(0.01, 0.05) < 0.001
    wild = noise(*[0.06, -0.07] * 10, spread=0.06)
    assert wild.threshold(0.01, 0.05) > 0.05
    assert wild.least_effect(0.01, 0.05) > 0.05
    # half of all null processes on the wrong side: the rule itself still holds, and no more than that is promised
    assert wild.false_keep_bound(0.01, 0.05) > 0.03
    again = Calibration.of(wild.record())
    assert again.record() == wild.record()


def test_a_climb_spends_its_error_rate_once() -> None:
    assert sum(share_of(0.05, number) for number in range(1, 10_000)) < 0.05
    assert share_of(0.05, 1) > share_of(0.05, 2)
    assert share_of(0.05, None) == 0.05
    late, early = (TimingPlan.spending(share_of(0.05, number), 0.01) for number in (100, 1))
    assert late.processes > early.processes


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    problem = load_problem(toy_to_time(tmp_path_factory.mktemp("toy")))
    with Judge(problem, parse_target("cpu:device"), python=Path(sys.executable)) as judge:
        yield judge


SLOW = "z = 2.0 * x + y\n    for _ in range(3):\n        z = jnp.where(jnp.sin(z) > 2.0, z + 1.0, z)\n    return z"


@pytest.mark.timeout(240)
def test_a_champion_is_confirmed_with_the_noise_of_the_machine_beside_it(judge: Judge) -> None:
    """The plain sum against one with useless sines, after an A/A run: kept, and everything about it was measured."""
    calibration = judge.calibrate(processes=4)
    assert calibration is not None
    assert len(calibration.shapes[0].medians) == 4
    try:
        champion = judge.confirm(variant("return y + 2.0 * x"), variant(SLOW))
    finally:
        judge.use(None)
    assert champion.ruling is not None
    assert (champion.verdict.value, champion.ruling.reason) == ("KEEP", "faster")
    receipt = record_of(champion, judge)
    cost, stated = receipt["cost"], receipt["cost"]["calibration"]
    assert (receipt["purpose"], cost["kind"]) == ("confirmation", "measured")
    assert "predicted" not in str(cost)
    assert stated["threshold"] == cost["margin"] >= 0.01
    assert 0 <= stated["false_keep_bound"] <= 0.05
    assert stated["least_detectable_effect"] > stated["threshold"]
    timing = cost["timings"][0]
    assert len(timing["samples_s"]) >= evidence.fewest(0.05)
    assert timing["ratio_high"] < 0.9
    assert timing["device"]["platform"] == "cpu"
    assert all(0.5 < share <= 1 for share in timing["timed_share"])
    trace = timing["device_trace"]
    assert trace["agrees"], trace
    assert trace["candidate"]["busy_us"] < 5 * timing["candidate_us"]
    assert trace["candidate"]["events"] >= 1
    found = headline(receipt)
    assert found.us is not None
    assert found.incumbent_us is not None
    assert found.us < found.incumbent_us
    assert {"kind", "processor", "host", "jax"} <= judge.fingerprint().keys()


def test_a_trace_contradicts_a_clock_that_stopped_too_early() -> None:
    """The device's own account of a real program, beside what it took and beside a fifth of a tenth of that."""
    x = np.ones((512, 512), np.float32)
    spec = jax.ShapeDtypeStruct(x.shape, x.dtype)
    program = bytes(export.export(jax.jit(lambda a: jnp.tanh(a @ a) @ a), platforms=["cpu"])(spec).serialize())
    found = tracing.device_time(
        PYTHON, "cpu", program, ([{"shape": [512, 512], "dtype": "float32"}], [x.tobytes()])
    )
    assert isinstance(found, tracing.DeviceTime), found
    assert found.events >= 2
    assert found.busy_us > 0
    honest = 1.2 * found.busy_us
    assert tracing.verdict(found, found, (honest, honest))["agrees"]
    assert not tracing.verdict(found, found, (honest, honest / 50))["agrees"]
    # a machine that was busy while it was recorded excuses both alike
    assert tracing.verdict(found, found, (honest / 50, honest / 50))["agrees"]
    # thousands of operations cost the recording more than the program
    many = tracing.DeviceTime(38_600.0, 15_003.0, 75_015.0)
    assert tracing.verdict(found, many, (honest, 9_000.0))["agrees"]


def test_what_cannot_be_recorded_has_no_trace() -> None:
    found = tracing.check(PYTHON, "cpu", [b"no program"] * 2, ([], []), (1.0, 1.0))
    assert found["agrees"] is None
    assert found["why"].startswith("no trace")


@pytest.mark.timeout(240)
def test_what_is_slower_is_discarded(judge: Judge) -> None:
    lost = judge.judge(variant(SLOW), variant("return y + 2.0 * x"), number=1)
    assert lost.ruling is not None
    assert (lost.verdict.value, lost.ruling.reason) == ("DISCARD", "slower")
    assert lost.timings[0].plan.alpha == 0.025


@pytest.mark.timeout(240)
def test_the_same_code_in_other_words_is_not_kept(judge: Judge) -> None:
    case = judge.judge(variant("return y + 2.0 * x"))
    assert case.ruling is not None
    assert case.verdict.value != "KEEP"
    assert case.verdict.value in ("INCONCLUSIVE", "DISCARD")


def test_a_variant_that_is_right_only_on_small_shapes_is_caught_while_timed(judge: Judge) -> None:
    """The check shapes have up to 192 rows, the timed one 1024: what was timed is compared as well."""
    case = judge.judge(variant("return 2.0 * x + y if x.shape[0] < 1000 else 2.0 * x"))
    assert case.ruling is not None
    assert (case.verdict.value, case.ruling.reason) == ("DISCARD", "wrong_output")


def test_a_callback_cannot_be_timed(judge: Judge) -> None:
    """A program with Python in it cannot be serialised, so it never gets near the clock."""
    shape = "jax.ShapeDtypeStruct(x.shape, x.dtype)"
    body = f"import jax\n    return jax.pure_callback(lambda a, b: 2 * a + b, {shape}, x, y)"
    case = judge.judge(variant(body))
    assert case.ruling is not None
    assert (case.ruling.reason, case.ruling.detail) == ("host_callback", "pure_callback")


def test_what_a_program_rounds_is_rounded() -> None:
    """XLA may use a sum in float32 that the program has rounded to bfloat16; what is timed and checked may not."""

    def sum_and_its_triple(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = x + y
        return total, 3.0 * total.astype(jnp.float32)

    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.standard_normal(256), jnp.bfloat16) for _ in range(2))
    program = export.export(jax.jit(sum_and_its_triple), platforms=["cpu"])(x, y).serialize()
    total, triple = call_of(bytes(program))(x, y)
    np.testing.assert_array_equal(np.asarray(triple), 3.0 * np.asarray(total).astype(np.float32))


def test_a_timer_that_makes_a_candidate_look_slow_is_no_cheat_of_its_author() -> None:
    class Even:
        """A timer whose calls all take the same."""

        def ask(self, header: dict[str, object], timeout_s: float) -> None:
            del timeout_s
            if header["op"] == "calls":
                time.sleep(4e-3 * len(header["order"]))  # type: ignore[arg-type]

    clock = OwnClock(Even(), 1, 60)  # type: ignore[arg-type]
    assert clock.agrees((4e-3, 0.4)) is None
    with pytest.raises(ClockDisagreement):
        clock.agrees((0.4, 4e-3))
