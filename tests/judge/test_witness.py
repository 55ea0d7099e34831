"""A right but hopeless candidate: found out by one call, never waited for, and noise does not make one."""

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # an installed libtpu would look for a TPU first

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from cairn.judge import first_calls, witness
from cairn.judge.first_calls import FarSlower, IncumbentFails
from cairn.judge.protocol import VariantSource
from cairn.judge.record import headline, record_of
from cairn.judge.referee import Judge
from cairn.judge.timing import Timing
from cairn.judge.timing_plan import InputSet, TimingDevice, TimingPlan
from cairn.judge.witness import hear
from cairn.problem import load_problem
from cairn.roofline import parse_target
from cairn.worker_process import WorkerFailure
from workspace import toy_to_time

PYTHON = Path(sys.executable)
INPUTS: list[InputSet] = [([{"shape": [8], "dtype": "float32"}], [np.ones(8, np.float32).tobytes()])] * 2
ENDLESS = """
import dataclasses
import jax


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, y, *, config):
    limit = 5 if x.shape[0] > 1000 else 0
    z, _ = jax.lax.while_loop(lambda zi: zi[1] < limit, lambda zi: (zi[0] + zi[1], zi[1] ^ 1), (2.0 * x + y, 1))
    return z
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits ten seconds to see a loop that has no end."""
    monkeypatch.setattr(first_calls, "_LEAST_WAIT_S", 2.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.timeout(240)
def test_a_candidate_that_does_not_come_back_is_slower(tmp_path: Path) -> None:
    folder = toy_to_time(tmp_path)
    with (folder / "reference.py").open("a") as reference:
        # no families of the judge's own, in which such a program would already have stopped
        reference.write('\n\ndef input_domains(shape):\n    return ["as drawn"] * 2\n')
    problem = load_problem(folder)
    with Judge(problem, parse_target("cpu:device"), python=PYTHON) as judge:
        case = judge.judge(VariantSource("endless", ENDLESS.encode()))
        receipt = record_of(case, judge)
    assert case.ruling is not None
    assert (case.verdict.value, case.ruling.reason) == ("DISCARD", "slower"), case.ruling
    assert "was ended after" in case.ruling.detail
    seen = receipt["program_facts"]["far_slower"]
    assert seen["shape"] == problem.shapes.bench[0]
    assert not seen["ended"]
    assert headline(receipt).us is None


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("earlier_s", "pairs"), [((0.0, 0.0), 3), ((60.0, 60.0), 1)])
def test_long_calls_are_timed_one_by_one(
    earlier_s: tuple[float, float], pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if every call were a long one: the same facts about them, on no more calls than pairs."""
    monkeypatch.setattr(witness, "SLOW_S", 0.0)
    monkeypatch.setattr(witness, "_LEAST_SHARE", 0.0)  # these calls are short beside the questions about them
    spec = jax.ShapeDtypeStruct((8,), jnp.float32)
    program = bytes(export.export(jax.jit(lambda x: (2.0 * x,)), platforms=["cpu"])(spec).serialize())
    answers: list[object] = []
    heard = hear(
        TimingDevice(PYTHON, "cpu"),
        (program, program),
        INPUTS,
        TimingPlan(),
        lambda chosen, outputs: answers.append(outputs[0].data),
        earlier_s,
    )
    assert answers == [np.full(8, 2.0, np.float32).tobytes()]
    assert len(heard.samples) == pairs
    assert heard.own_clock_s is not None
    for claimed, own in zip(np.median(heard.samples, axis=0), heard.own_clock_s, strict=True):
        assert 0 < claimed < own


def test_pairs_of_long_calls_are_few_and_of_short_ones_many() -> None:
    assert [witness._slow_pairs(seconds) for seconds in (0.6, 2.5, 100.0)] == [3, 2, 1]
    assert witness._quick_pairs(2.0, TimingPlan()) == 5
    assert witness._quick_pairs(1e-3, TimingPlan()) == 400


class Timer:
    """Answers with the seconds that calls took: incumbent and candidate, then both again."""

    def __init__(self, *calls: float) -> None:
        self._calls = list(calls)

    def ask(self, header: dict[str, object], timeout_s: float) -> tuple[dict[str, object], list[bytes]]:
        del timeout_s
        return {"seconds": self._calls.pop(0) if header["op"] == "calls" else None}, []


class Failing:
    """A program that fails at what is asked of it."""

    def __init__(self, program: int, op: str) -> None:
        self._fails = (program, op)

    def ask(self, header: dict[str, object], timeout_s: float) -> tuple[dict[str, object], list[bytes]]:
        if self._fails == (header["program"], header["op"]):
            raise WorkerFailure("timeout", f"no answer within {timeout_s} s")
        return {"seconds": 0.1}, []


@pytest.mark.parametrize(
    ("act", "op"), [("compile_both", "compile"), ("first_calls", "calls"), ("first_calls", "warm")]
)
def test_what_the_incumbent_cannot_do_is_no_fault_of_the_candidate(act: str, op: str) -> None:
    def asked(program: int) -> None:
        timer: Any = Failing(program, op)
        if act == "compile_both":
            first_calls.compile_both(timer, TimingPlan())
        else:
            first_calls.first_calls(timer, 2, TimingPlan())

    with pytest.raises(IncumbentFails, match="timeout: no answer"):
        asked(0)
    with pytest.raises(FarSlower if op == "calls" else WorkerFailure):
        asked(1)


@pytest.mark.parametrize(
    "calls",
    [
        (0.1, 30.0, 0.1, 0.1),  # the machine stood still once
        (0.1, 30.0, 10.0, 30.0),
        (0.001, 0.5),  # quick enough to be measured
        (4.0, 30.0),
    ],
)
def test_it_takes_every_call_to_be_far_slower(calls: tuple[float, ...]) -> None:
    assert first_calls.first_calls(Timer(*calls), 2, TimingPlan()) == calls[:2]  # type: ignore[arg-type]


def test_a_candidate_that_is_far_slower_in_every_call_is_not_timed_further() -> None:
    with pytest.raises(FarSlower, match=r"takes 25 s, where the incumbent takes 0\.2 s: 125 times its"):
        first_calls.first_calls(Timer(0.1, 30.0, 0.2, 25.0), 2, TimingPlan())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pairs", "plainly"),
    [
        ([(1.0, 2.5)] * 3, True),
        ([(1.0, 2.5)] * 2, False),
        ([(1.0, 2.5), (1.0, 1.9), (1.0, 2.5)], False),  # every pair has to say so
        ([(0.01, 0.025)] * 400, False),  # short calls: a neighbour may last through all of them
    ],
)
def test_plainly_slower_takes_long_calls_that_all_agree(pairs: list[tuple[float, float]], plainly: bool) -> None:
    timing = Timing(TimingPlan(), samples=[pairs])
    assert timing.is_plainly_slower is plainly
    assert timing.is_slower is plainly
    assert not timing.is_faster


def _not_reached(chosen: int, outputs: object) -> None:
    raise AssertionError((chosen, outputs))
