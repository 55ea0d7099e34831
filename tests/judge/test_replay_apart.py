"""Samples of kernels whose author calls no dimension parallel: steps run apart where they share nothing."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from lowered import lower

from cairn.judge.correctness import decode
from cairn.judge.protocol import JudgeLimits
from cairn.judge.replay import Replayer

F32 = np.float32
BLOCKS = 4
X = np.random.default_rng(3).standard_normal((8 * BLOCKS, 256), F32)
Body = Callable[..., None]


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer(Path(sys.executable), JudgeLimits()) as one:
        yield one


def by_tiles(body: Body, out: Callable[[Any, Any], tuple[Any, Any]], **options: Any) -> bytes:
    """A kernel over tiles of 8 rows by 128 columns of X, whose result's block is `out` of a step."""
    call = pl.pallas_call(
        body,
        grid=(BLOCKS, 2),
        in_specs=[pl.BlockSpec((8, 128), lambda i, j: (i, j))],
        out_specs=pl.BlockSpec((8, 128), out),
        out_shape=jax.ShapeDtypeStruct((8 * BLOCKS, 256 if out(0, 1)[1] else 128), F32),
        **options,
    )
    return lower(lambda x: call(x), X)


def sampled(replayer: Replayer, program: bytes, cells: int = 2) -> tuple[Any, Any]:
    """What a sample gives, and which elements it covers."""
    specs = [{"dtype": "float32", "shape": list(X.shape)}]
    sample = replayer.run_sample(program, specs, [X.tobytes()], cells=cells, seed=5)
    return decode(sample.outputs[0]), sample.covered[0]


def test_steps_that_share_nothing_are_run_apart(replayer: Replayer) -> None:
    def twice(x: Any, out: Any) -> None:
        out[...] = 2 * x[...]

    got, covered = sampled(replayer, by_tiles(twice, lambda i, j: (i, j)))
    assert covered.mean() == pytest.approx(2 / (2 * BLOCKS))
    np.testing.assert_array_equal(got[covered], 2 * X[covered])


def test_a_sum_that_is_begun_anew_for_every_block_is_run_apart_from_the_others(replayer: Replayer) -> None:
    def add(x: Any, out: Any, total: Any) -> None:
        @pl.when(pl.program_id(1) == 0)
        def _() -> None:
            total[...] = jnp.zeros_like(total)

        total[...] += x[...]
        out[...] = total[...]

    program = by_tiles(add, lambda i, j: (i, 0), scratch_shapes=[pltpu.VMEM((8, 128), jnp.float32)])
    got, covered = sampled(replayer, program)
    assert covered.mean() == pytest.approx(2 / BLOCKS)
    np.testing.assert_array_equal(got[covered], (X[:, :128] + X[:, 128:])[covered])


def test_a_sum_over_all_blocks_is_run_in_full(replayer: Replayer) -> None:
    def add(x: Any, out: Any, total: Any) -> None:
        @pl.when((pl.program_id(0) == 0) & (pl.program_id(1) == 0))
        def _() -> None:
            total[...] = jnp.zeros_like(total)

        total[...] += x[...]
        out[...] = total[...]

    program = by_tiles(add, lambda i, j: (i, j), scratch_shapes=[pltpu.VMEM((8, 128), jnp.float32)])
    got, covered = sampled(replayer, program)
    assert covered.all()
    tiles = X.reshape(BLOCKS, 8, 2, 128).transpose(0, 2, 1, 3).reshape(-1, 8, 128)
    np.testing.assert_array_equal(got[-8:, 128:], np.add.accumulate(tiles)[-1])


def keeps_in_its_operand(x: Any, out: Any) -> None:
    x[0, :] = x[0, :] + 1
    out[...] = x[...]


def counts_in_whole_numbers(x: Any, out: Any, count: Any) -> None:
    count[0, 0] = jnp.where(pl.program_id(0) + pl.program_id(1) == 0, 0, count[0, 0] + 1)
    out[...] = x[...] + count[0, 0].astype(jnp.float32)


@pytest.mark.parametrize(
    ("body", "scratch"),
    [(keeps_in_its_operand, []), (counts_in_whole_numbers, [pltpu.SMEM((1, 1), jnp.int32)])],
    ids=["operand", "counter"],
)
def test_what_could_carry_something_unseen_is_run_in_full(replayer: Replayer, body: Body, scratch: Any) -> None:
    _, covered = sampled(replayer, by_tiles(body, lambda i, j: (i, j), scratch_shapes=scratch))
    assert covered.all()


def test_a_product_by_an_algorithm_is_as_precise_as_its_passes(replayer: Replayer) -> None:
    a, b = X[:, :128], X[:, 128:].T
    errors = {}
    for name in ("BF16_BF16_F32", "BF16_BF16_F32_X3", "BF16_BF16_F32_X6"):
        precision = jax.lax.DotAlgorithmPreset[name]
        program = lower(lambda a, b, precision=precision: jnp.dot(a, b, precision=precision), a, b)
        specs = [{"dtype": "float32", "shape": list(array.shape)} for array in (a, b)]
        (product,) = replayer.run(program, specs, [a.tobytes(), b.tobytes()])
        errors[name] = np.abs(decode(product) - a.astype(np.float64) @ b).max()
    assert errors["BF16_BF16_F32"] > 1e-3
    assert max(errors["BF16_BF16_F32_X3"], errors["BF16_BF16_F32_X6"]) < 1e-4
