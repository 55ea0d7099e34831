"""Whoever is right at every shape that can be checked in full, and leaves work out where the price is, is not kept.

Two toy problems. `rows` doubles rows, at a priced shape that is looked at in blocks. `lengths` doubles the rows that
count, priced for certain lengths, which a program can recognise. Incumbents are slow, so that each of these variants
would win by far.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn.judge.case import Case
from cairn.judge.protocol import VariantSource
from cairn.judge.referee import Judge
from cairn.judge.verdict import Verdict
from cairn.problem import load_problem
from cairn.roofline import parse_target

pytestmark = [pytest.mark.tpu_compiler, pytest.mark.timeout(180)]

PROBLEM = """
schema: 1
name: {name}
title: rows doubled
reference: reference.py
baseline: whole
outputs: {{z: float32}}
shapes: {{check: [{{R: 16}}, {{R: 32}}], bench: [{{R: {priced}}}], heldout: [{{R: 48}}]}}
families: [normal]
precision: float32
kernel_calls: 1
tolerance: {{multiple: 4.0, floor: {{float32: 1.0e-6}}}}
targets: [tpu-v5p]
"""
ROWS = """
import numpy as np


def input_specs(shape):
    return [((shape["R"], 128), "float32")]


def make_inputs(seed, shape, family="normal"):
    return (np.random.default_rng(seed).standard_normal((shape["R"], 128), np.float32),)


def reference(x):
    return (2 * x.astype(np.float64),)


def cost(shape):
    return 2 * shape["R"] * 128, 8 * shape["R"] * 128
"""
LENGTHS = """
import numpy as np


def input_specs(shape):
    return [((4, shape["R"], 128), "float32"), ((4,), "int32")]


def make_inputs(seed, shape, family="normal"):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, shape["R"], 128), np.float32)
    return x, rng.integers(1, shape["R"] + 1, 4, np.int32)


def priced_with(shape):
    return {1: np.array([shape["R"], shape["R"] // 2, shape["R"], 8], np.int32)}


def reference(x, lengths):
    counts = np.arange(x.shape[1])[None, :, None] < lengths[:, None, None]
    return (np.where(counts, 2 * x.astype(np.float64), 0.0),)


def cost(shape):
    return 8 * shape["R"] * 128, 8 * 8 * 128
"""
HEAD = """
import dataclasses
import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    rows: int = 512


"""
WHOLE_ROWS = "def run(x, *, config):\n    return 2 * x\n"
WHOLE_LENGTHS = """
def run(x, lengths, *, config):
    return jnp.where(jnp.arange(x.shape[1])[None, :, None] < lengths[:, None, None], 2 * x, 0.0)
"""
# a kernel over blocks of rows; `after` is done to its results
BLOCKS = """
def run(x, *, config):
    R, large = len(x), len(x) > 1000
    rows = config.rows if large else 16
    parts = {parts}

    def kernel(x_ref, z_ref, one_ref):
        here = pl.program_id(0)
        one_ref[...] = jnp.ones_like(one_ref)
        done = {done} if large else here >= 0

        @pl.when(done)
        def _():
            z_ref[0] = x_ref[...] * (2 / parts)

        @pl.when(~done)
        def _():
            z_ref[...] = jnp.zeros_like(z_ref)

    z, one = pl.pallas_call(
        kernel,
        grid=(R // rows, parts),
        in_specs=[pl.BlockSpec((rows, 128), lambda r, p: ({fetched}, 0))],
        out_specs=[
            pl.BlockSpec((1, rows, 128), lambda r, p: (p, r, 0)),
            pl.BlockSpec((1, 8, 128), lambda r, p: (p, r, 0)),
        ],
        out_shape=[
            jax.ShapeDtypeStruct((parts, *x.shape), x.dtype),
            jax.ShapeDtypeStruct((parts, R // rows * 8, 128), x.dtype),
        ],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel")),
    )(x)
    return {after}
"""
HONEST = {"parts": "1", "done": "here >= 0", "fetched": "r", "after": "z[0]"}
# the kernel adds nothing to what XLA did
FOR_SHOW = """
def run(x, *, config):
    z = 2 * x
    block = pl.BlockSpec((8, 128), lambda r: (0, 0))
    top = pl.pallas_call(
        lambda a, b: b.__setitem__(..., a[...]), grid=(1,), in_specs=[block], out_specs=block,
        out_shape=jax.ShapeDtypeStruct((8, 128), x.dtype),
    )(z)
    return jax.lax.dynamic_update_slice(z, top, (0, 0))
"""
# at the priced shape, what the step before has left stands for this step's result; memory full of NaN does not show it
LEFT = """
def run(x, *, config):
    R, large = len(x), len(x) > 1000
    rows = config.rows if large else 16

    def kernel(x_ref, z_ref, left_ref):
        left = left_ref[...]
        z_ref[...] = jnp.where(left == left, left, 2 * x_ref[...]) if large else 2 * x_ref[...]
        left_ref[...] = z_ref[...]

    block = pl.BlockSpec((rows, 128), lambda r: (r, 0))
    return pl.pallas_call(
        kernel,
        grid=(R // rows,),
        in_specs=[block],
        out_specs=block,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        scratch_shapes=[pltpu.VMEM((rows, 128), jnp.float32)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=({meaning},)),
    )(x)
"""
# the first step of each core does the work, and a word in scalar memory tells the others to leave it; a step that is
# run without those before it finds no such word, and does it
WORD = """
def run(x, *, config):
    R, large = len(x), len(x) > 1000
    rows = config.rows if large else 16

    def kernel(x_ref, z_ref, left_ref, word_ref):
        @pl.when(pl.program_id(0) % max(R // rows // 2, 1) == 0)
        def _():
            word_ref[0] = 0

        @pl.when((word_ref[0] != 1) | (not large))
        def _():
            left_ref[...] = 2 * x_ref[...]
            word_ref[0] = 1

        z_ref[...] = left_ref[...]

    block = pl.BlockSpec((rows, 128), lambda r: (r, 0))
    return pl.pallas_call(
        kernel,
        grid=(R // rows,),
        in_specs=[block],
        out_specs=block,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        scratch_shapes=[pltpu.VMEM((rows, 128), jnp.float32), pltpu.SMEM((8,), jnp.int32)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
    )(x)
"""
GROUPS = """
def run(x, lengths, *, config):
    rows = config.rows if x.shape[1] > 1000 else 8

    def kernel(lengths_ref, x_ref, z_ref):
        length = lengths_ref[pl.program_id(0)]
        first = pl.program_id(1) * rows
        counts = first + jax.lax.broadcasted_iota(jnp.int32, (1, rows, 128), 1) < length

        @pl.when((first < length){also})
        def _():
            z_ref[...] = jnp.where(counts, 2 * x_ref[...], 0.0)

        @pl.when(~((first < length){also}))
        def _():
            z_ref[...] = jnp.zeros_like(z_ref)

    block = pl.BlockSpec((1, rows, 128), lambda g, r, lengths: (g, r, 0))
    return pl.pallas_call(
        kernel,
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=1, grid=(4, x.shape[1] // rows), in_specs=[block], out_specs=block
        ),
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
    )(lengths, x)
"""
KNOWN = " & ~((lengths_ref[3] == 8) & (lengths_ref[0] == x.shape[1]) & (pl.program_id(1) % 2 == 1))"


def opened(folder: Path, priced: int, reference: str, whole: str) -> Judge:
    (folder / "variants").mkdir(parents=True)
    (folder / "problem.yaml").write_text(PROBLEM.format(name=folder.name, priced=priced))
    (folder / "reference.py").write_text(reference)
    (folder / "variants" / "whole.py").write_text(HEAD + whole)
    return Judge(load_problem(folder), parse_target("tpu-v5p"), python=Path(sys.executable))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with opened(tmp_path_factory.mktemp("problems") / "rows", 16384, ROWS, WHOLE_ROWS) as judge:
        yield judge


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with opened(tmp_path_factory.mktemp("problems") / "lengths", 4096, LENGTHS, WHOLE_LENGTHS) as judge:
        yield judge


def judged(judge: Judge, text: str, slow: str) -> Case:
    variant = VariantSource("variant", (HEAD + text).encode(), {})
    return judge.judge(variant, VariantSource("slow", (HEAD + slow).encode(), {"rows": 16}))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, "faster"),
        ({"parts": "2", "after": "z.sum(0)"}, "faster"),  # every element is made of two steps
        ({"done": "here % 9 != 4"}, "wrong_output"),
        ({"fetched": "r - (r % 9 == 4) if large else r"}, "wrong_output"),
        # other steps' results in every element, so that a sample shows none
        ({"done": "here % 4 == 3", "after": "z[0] * (one[0, :1] / one[0, :1])"}, "wrong_output"),
    ],
    ids=["honest", "parts", "every_ninth", "refetched", "hidden"],
)
def test_blocks(changed: dict[str, str], reason: str, rows: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.judge.examiner._QUICK_S", -1.0)
    monkeypatch.setattr("cairn.judge.examiner._LITTLE_BYTES", -1)
    monkeypatch.setattr("cairn.judge.examiner._FULL_CHECK_S", -1.0)  # the shape is too large on any machine
    case = judged(rows, BLOCKS.format(**{**HONEST, **changed}), BLOCKS.format(**HONEST))
    assert case.ruling is not None
    assert case.ruling.reason == reason, case.ruling
    assert case.stages[-2]["stage"] == "confirm"
    assert all(", 0.0% of it" not in check["executor"] for check in case.checks)


@pytest.mark.parametrize(
    "text",
    [LEFT.format(meaning="'parallel'"), LEFT.format(meaning="'arbitrary'"), WORD],
    ids=["parallel", "arbitrary", "word"],
)
def test_what_a_step_left(text: str, rows: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.judge.examiner._QUICK_S", -1.0)
    monkeypatch.setattr("cairn.judge.examiner._LITTLE_BYTES", -1)
    monkeypatch.setattr("cairn.judge.examiner._FULL_CHECK_S", -1.0)  # the shape is too large on any machine
    case = judged(rows, text, BLOCKS.format(**HONEST))
    assert case.ruling is not None
    assert case.ruling.reason == "wrong_output", case.ruling
    assert case.stages[-2]["stage"] == "confirm"


def test_a_kernel_for_show(rows: Judge) -> None:
    case = judged(rows, FOR_SHOW, BLOCKS.format(**HONEST))
    assert case.ruling is not None
    assert (case.verdict, case.ruling.reason) == (Verdict.DISCARD, "no_kernel")


def test_lengths_that_are_priced(lengths: Judge) -> None:
    case = judged(lengths, GROUPS.format(also=KNOWN), GROUPS.format(also=""))
    assert case.ruling is not None
    assert case.ruling.reason == "wrong_output", case.ruling
    assert case.checks[-1]["shape"] == {"R": 4096}
    assert case.checks[-1]["family"] == "priced:normal"
