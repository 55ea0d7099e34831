"""Comparisons: what is refused because it cannot be compared, and what is found when it can."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from cairn.profile.comparing import compared
from cairn.profile.locate import read_trace
from cairn.profile.summary import TraceSummary, summarize
from profile_traces import Planes, as_json, as_xplane, tpu_steps

Made = Callable[..., TraceSummary]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Summaries of traces, each in a file of its own."""
    names = itertools.count()

    def make(planes: Planes, steps: int | None = None) -> TraceSummary:
        path = as_json(tmp_path / f"{next(names)}.trace.json.gz", planes)
        return summarize(read_trace(path), steps)

    return make


def test_a_faster_kernel_is_found_and_everything_is_explained(made: Made) -> None:
    found = compared(made(tpu_steps(4)), made(tpu_steps(4, kernel_us=25, period_us=105)), 3)
    assert found["faults"] == []
    assert found["top"][0] | {"name": "gdn_fwd.4", "before_us": 40.0, "after_us": 25.0} == found["top"][0]
    assert found["step_us"]["delta"] == pytest.approx(-15)
    assert found["kinds_us"]["kernel"]["delta"] == pytest.approx(-15)
    assert found["unexplained_us"] == pytest.approx(0, abs=1e-6)


def test_the_same_trace_twice_is_refused(tmp_path: Path) -> None:
    one = as_json(tmp_path / "a.trace.json.gz", tpu_steps(2))
    other = as_xplane(tmp_path / "a.xplane.pb", tpu_steps(2))
    sides = [summarize(read_trace(path)) for path in (one, one, other)]
    assert "byte for byte" in compared(sides[0], sides[1], 1)["faults"][0]
    assert "one recording, exported twice" in compared(sides[0], sides[2], 1)["faults"][0]


def test_unequal_numbers_of_steps_are_refused(made: Made) -> None:
    faults = compared(made(tpu_steps(2)), made(tpu_steps(1)), 1)["faults"]
    assert any(fault.startswith("2 steps (executions of jit_step) against 1") for fault in faults)


def test_a_halving_of_everything_is_a_wrong_divisor_not_a_gain(made: Made) -> None:
    """One recording covers two steps and the other one, and both are called one step."""
    two, one = tpu_steps(2), tpu_steps(1, kernel_us=40.01)
    faults = compared(made(two, 1), made(one, 1), 1)["faults"]
    assert any("the same factor of 0.5" in fault for fault in faults)


def test_operations_that_do_not_divide_into_the_steps_are_refused(made: Made) -> None:
    faults = compared(made(tpu_steps(5, kernel_us=39), 3), made(tpu_steps(3), 3), 1)["faults"]
    assert any("do not divide into 3 steps" in fault for fault in faults)


def test_devices_of_two_kinds_are_refused(made: Made) -> None:
    gpu = {"/device:GPU:0": tpu_steps(2, kernel_us=41)["/device:TPU:0"]}
    faults = compared(made(tpu_steps(2)), made(gpu), 1)["faults"]
    assert any("different devices" in fault for fault in faults)
