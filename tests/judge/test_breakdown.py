"""At a priced shape too large for the truth, a program has to stand the wide inputs that it stood at small shapes."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cairn.judge.breakdown import broken_down, stood
from cairn.judge.case import Case
from cairn.judge.correctness import Wire
from cairn.judge.protocol import VariantSource
from cairn.judge.referee import Judge
from cairn.judge.verdict import Verdict
from cairn.problem import load_problem
from cairn.roofline import parse_target

PROBLEM = """
schema: 1
name: weights
title: softmax of short rows
reference: reference.py
baseline: plain
outputs: {z: float32}
shapes: {check: [{R: 32}, {R: 64}], bench: [{R: 262144}], heldout: [{R: 96}]}
families: [normal]
precision: float32
tolerance: {multiple: 4.0, floor: {float32: 2.0e-6}}
targets: [tpu-v5p]
"""
REFERENCE = """
import numpy as np


def input_specs(shape):
    return [((shape["R"], 128), "float32")]


def make_inputs(seed, shape, family="normal"):
    return (np.random.default_rng(seed).standard_normal((shape["R"], 128), np.float32),)


def reference(x):
    powers = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True),)


def cost(shape):
    return 5 * shape["R"] * 128, 8 * shape["R"] * 128
"""
HEAD = """
import dataclasses
import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    rows: int = 1024


"""
PLAIN = "def run(x, *, config):\n    return jax.nn.softmax(x, axis=1)\n"
KERNEL = """
def run(x, *, config):
    R = len(x)
    rows = config.rows if R > 1000 else 32

    def kernel(x_ref, z_ref):
        x = x_ref[...]
        powers = jnp.exp(x - x.max(axis=1, keepdims=True)) if {with_maximum} else jnp.exp(x)
        z_ref[...] = powers / powers.sum(axis=1, keepdims=True)

    block = pl.BlockSpec((rows, 128), lambda r: (r, 0))
    return pl.pallas_call(
        kernel,
        grid=(R // rows,),
        in_specs=[block],
        out_specs=block,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
    )(x)
"""


def kernel(with_maximum: str, rows: int) -> VariantSource:
    return VariantSource("kernel", (HEAD + KERNEL.format(with_maximum=with_maximum)).encode(), {"rows": rows})


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    folder = tmp_path_factory.mktemp("problem") / "weights"
    (folder / "variants").mkdir(parents=True)
    (folder / "problem.yaml").write_text(PROBLEM)
    (folder / "reference.py").write_text(REFERENCE)
    (folder / "variants" / "plain.py").write_text(HEAD + PLAIN)
    with Judge(load_problem(folder), parse_target("tpu-v5p"), python=Path(sys.executable)) as judge:
        yield judge


@pytest.mark.tpu_compiler
@pytest.mark.timeout(180)
def test_a_maximum_at_small_shapes_only_is_seen_where_the_price_is(judge: Judge) -> None:
    case = judge.judge(kernel("R < 1000", 1024), kernel("True", 32), margin=0.05)
    assert case.ruling is not None
    assert case.ruling.reason == "non_finite", case.ruling
    assert "some blocks" in case.ruling.detail


@pytest.mark.tpu_compiler
@pytest.mark.timeout(180)
def test_who_finds_it_everywhere_is_kept_and_the_receipt_says_what_was_asked(judge: Judge) -> None:
    case = judge.judge(kernel("True", 1024), kernel("True", 32), margin=0.05)
    assert case.verdict is Verdict.KEEP, case.ruling
    assert [told for where, told in case.facts["own_families"].items() if "some blocks" in where] == ["held"]


def test_families_are_asked_about_where_the_variant_stood_them_everywhere() -> None:
    told = {"judge:large at R=32": "held", "judge:large at R=64": "held", "judge:scales at R=32": "held"}
    source = VariantSource("one", b"")
    assert stood(Case(source, source, facts={"own_families": told})) == ["judge:large", "judge:scales"]
    told["judge:scales at R=64"] = "not asked: the baseline is off there"
    assert stood(Case(source, source, facts={"own_families": told})) == ["judge:large"]
    assert stood(Case(source, source)) == []


def test_only_what_is_lost_altogether_is_told_and_only_where_it_was_computed() -> None:
    def wire(*values: float) -> Wire:
        return Wire("float32", (len(values),), np.array(values, np.float32).tobytes())

    base, seen = wire(1, 2, 3, 4), [np.array([True, True, False, True])]
    assert broken_down(["z"], [wire(1, 2, np.nan, 4)], [base], seen) is None
    assert broken_down(["z"], [wire(1.1, 2, 0, 3.9)], [base], seen) is None
    lost = broken_down(["z"], [wire(1, np.inf, 3, 4)], [base], seen)
    other = broken_down(["z"], [wire(4, 0, 3, 1)], [base], seen)
    assert (lost and lost.reason, other and other.reason) == ("non_finite", "wrong_output")
    assert broken_down(["z"], [wire(1, 1, 1, 1)], [wire(np.nan, 1, 1, 1)], seen) is None
