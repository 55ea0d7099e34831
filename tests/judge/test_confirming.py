"""A part of a large shape never accuses: what differs there is looked at once more on whole inputs.

The problem's rows are independent as far as its check shapes can tell. At the priced shape every row also has the
middle one added, which neither the reference nor the baseline sees in a part of it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn.judge.protocol import VariantSource
from cairn.judge.referee import Judge
from cairn.judge.verdict import Verdict
from cairn.problem import load_problem
from cairn.roofline import parse_target

PROBLEM = """
schema: 1
name: rows
title: rows that seem independent
reference: reference.py
baseline: whole
outputs: {z: float32}
shapes: {check: [{R: 16}, {R: 32}], bench: [{R: 65536}], heldout: [{R: 48}]}
families: [normal]
precision: float32
tolerance: {multiple: 4.0, floor: {float32: 1.0e-6}}
targets: [tpu-v5p]
"""
REFERENCE = """
import numpy as np


def input_specs(shape):
    return [((shape["R"], 128), "float32")]


def make_inputs(seed, shape, family="normal"):
    return (np.random.default_rng(seed).standard_normal((shape["R"], 128), np.float32),)


def reference(x):
    wide = x.astype(np.float64)
    return (2 * wide + (wide[len(x) // 2] if len(x) > 1000 else 0.0),)


def cost(shape):
    return 2 * shape["R"] * 128, 8 * shape["R"] * 128
"""
HEAD = """
import dataclasses
import jax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    rows: int = 16


"""
WHOLE = "def run(x, *, config):\n    return 2 * x + (x[len(x) // 2] if len(x) > 1000 else 0.0)\n"
KERNEL = """
def run(x, *, config):
    R, large = len(x), len(x) > 1000
    rows = config.rows if large else 16
    middle = (R // 2 + {beside} if large else 0) // 8

    def kernel(x_ref, middle_ref, z_ref):
        z_ref[...] = 2 * x_ref[...] + (middle_ref[:1] if large else 0.0)

    block = pl.BlockSpec((rows, 128), lambda r: (r, 0))
    return pl.pallas_call(
        kernel,
        grid=(R // rows,),
        in_specs=[block, pl.BlockSpec((8, 128), lambda r: (middle, 0))],
        out_specs=block,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
    )(x, x)
"""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    folder = tmp_path_factory.mktemp("problems") / "rows"
    (folder / "variants").mkdir(parents=True)
    (folder / "problem.yaml").write_text(PROBLEM)
    (folder / "reference.py").write_text(REFERENCE)
    (folder / "variants" / "whole.py").write_text(HEAD + WHOLE)
    with Judge(load_problem(folder), parse_target("tpu-v5p"), python=Path(sys.executable)) as one:
        yield one


@pytest.mark.tpu_compiler
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("beside", "right"), [(0, True), (8, False)], ids=["right", "wrong"])
def test_what_differs_on_a_part_is_looked_at_whole(
    beside: int, right: bool, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn.judge.examiner._QUICK_S", -1.0)
    monkeypatch.setattr("cairn.judge.examiner._LITTLE_BYTES", -1)
    monkeypatch.setattr("cairn.judge.examiner._FULL_CHECK_S", -1.0)  # whole inputs are too many on any machine,
    monkeypatch.setattr("cairn.judge.confirming._TRUTH_S", -1.0)  # and the baseline says what is right
    source = (HEAD + KERNEL.format(beside=beside)).encode()
    case = judge.judge(VariantSource("kernel", source, {"rows": 512}), VariantSource("slow", source, {"rows": 16}))
    assert case.ruling is not None
    assert (case.verdict is Verdict.KEEP, case.ruling.reason) == (right, "faster" if right else "wrong_output")
    assert case.stages[-2]["stage"] == "confirm"
    sampled = [check for check in case.checks if check.get("stand_in")]
    assert [check["outputs"][0]["ok"] for check in sampled] == [False, right]
    assert [check["shape"] for check in sampled] == [{"R": 65536}] * 2
    assert all("against the baseline" in check["executor"] for check in sampled)
