"""A right but hopeless candidate: found out by one call, never waited for, and noise does not make one."""

import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # an installed libtpu would look for a TPU first

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from cairn.judge import witness
from cairn.judge.protocol import VariantSource
from cairn.judge.record import headline, record_of
from cairn.judge.referee import Judge
from cairn.judge.timing_plan import InputSet, TimingDevice, TimingPlan
from cairn.judge.witness import FarSlower, hear
from cairn.problem import load_problem
from cairn.roofline import parse_target
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
    """Nobody waits a minute to see a loop that has no end."""
    monkeypatch.setattr(witness, "_FIRST_CALLS_S", 2.0)
    monkeypatch.setattr(witness, "_LEAST_WAIT_S", 2.0)


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


@pytest.mark.usefixtures("impatient")
@pytest.mark.timeout(240)
def test_where_the_incumbent_is_as_slow_it_is_waited_for() -> None:
    """Both take longer than the first limit: nothing to hold against the candidate, so the plan's limit holds."""
    spec = jax.ShapeDtypeStruct((8,), jnp.float32)
    endless = jax.jit(lambda x: (x + jax.lax.while_loop(lambda i: i < 5, lambda i: i ^ 1, 1),))
    program = bytes(export.export(endless, platforms=["cpu"])(spec).serialize())
    with pytest.raises(witness.WorkerFailure) as failure:
        hear(TimingDevice(PYTHON, "cpu"), (program, program), INPUTS, TimingPlan(timeout_s=6.0), _not_reached)
    assert failure.value.reason == "timeout"


class Timer:
    """Answers with the seconds that calls took: the first of both, then a pair."""

    def __init__(self, first: tuple[float, float], again: tuple[float, float]) -> None:
        self._first, self._again = first, again

    def ask(self, header: dict[str, object], timeout_s: float) -> tuple[dict[str, object], list[bytes]]:
        del timeout_s
        return {"seconds": self._first if header["op"] == "warm" else [self._again]}, []


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ((0.1, 30.0), (0.1, 0.1)),  # the machine stood still once
        ((0.1, 30.0), (10.0, 30.0)),
        ((0.001, 0.5), (0.001, 0.5)),  # quick enough to be measured
        ((4.0, 30.0), (4.0, 30.0)),
    ],
)
def test_it_takes_every_call_to_be_far_slower(first: tuple[float, float], again: tuple[float, float]) -> None:
    assert witness.first_calls(Timer(first, again), 60) == first  # type: ignore[arg-type]


def test_a_candidate_that_is_far_slower_in_every_call_is_not_timed_further() -> None:
    with pytest.raises(FarSlower, match=r"takes 25 s, where the incumbent takes 0\.2 s: 125 times its"):
        witness.first_calls(Timer((0.1, 30.0), (0.2, 25.0)), 60)  # type: ignore[arg-type]


def _not_reached(chosen: int, outputs: object) -> None:
    raise AssertionError((chosen, outputs))
