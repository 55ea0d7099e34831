"""Memory, copies, control and the grid in small kernels, against NumPy."""

import sys
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from cairn.judge.protocol import JudgeLimits
from cairn.judge.replay import Replayer, ReplayFault
from judge.lowered import BF16, block_call, lower, normal, replayed

CHIP = "TPU v5p"
F32, I32 = np.float32, np.int32
X = normal(16, 128)


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer(Path(sys.executable), JudgeLimits()) as one:
        yield one


def dynamic_rows(indices, x, out):
    for target in range(8):
        out[pl.ds(target, 1), :] = x[pl.ds(indices[target], 1), :]


def strided_rows(x, out):
    out[...] = x[pl.ds(1, 8, stride=2), :]


def strided_store(x, out):
    out[...] = jnp.zeros_like(out)
    out[pl.ds(0, 16, stride=2), :] = x[...]


def pairs_of_halves(x, out):
    """Every second row of bfloat16, as people write it: strides need 32-bit elements."""
    words = x.bitcast(jnp.uint32)[...]
    out[...] = pltpu.bitcast(words << 16, jnp.float32)


def every_third_word(x, out):
    """Strided rows of words in a buffer of halves, two of which make a word."""
    words = x.bitcast(jnp.uint32)[pl.ds(1, 8, stride=3), :]
    out[...] = pltpu.bitcast(words << 16, jnp.float32)


def every_fourth_half(x, out):
    out[...] = x.bitcast(jnp.bfloat16)[pl.ds(3, 8, stride=4), :].astype(jnp.float32)


def store_words(x, out):
    out.bitcast(jnp.int32)[...] = pltpu.bitcast(x[...], jnp.int32)


def masked_store(x, out):
    out[...] = x[...]
    lanes = lax.broadcasted_iota(jnp.int32, (16, 128), 1)
    pltpu.store(out, -x[...], mask=lanes < 5)


def loop_of_unknown_length(indices, x, out):
    def body(_, carried):
        return carried * 1.5 + x[...]

    out[...] = lax.fori_loop(0, indices[0], body, jnp.zeros_like(x))


def while_loop(indices, x, out):
    def body(carried):
        count, value = carried
        return count + 1, value + x[...]

    out[...] = lax.while_loop(lambda carried: carried[0] < indices[1], body, (0, jnp.zeros_like(x)))[1]


def branches(indices, x, out):
    out[...] = lax.switch(
        indices[2], [lambda: x[...] * 2, lambda: x[...] * 3, lambda: x[...] * 5, lambda: x[...] * 7]
    )


def scoped(x, out):
    def body(scratch):
        scratch[...] = x[...] * 2
        out[...] = scratch[...] + 1

    pl.run_scoped(body, pltpu.VMEM((16, 128), F32))


def local_copy(x, out, scratch, semaphore):
    copy = pltpu.make_async_copy(x, scratch, semaphore)
    copy.start()
    copy.wait()
    out[...] = scratch[...] * 2


def forgotten_wait(x, out, scratch, semaphore):
    pltpu.make_async_copy(x, scratch, semaphore).start()
    out[...] = scratch[...] * 2


def wait_for_nothing(x, out, scratch, semaphore):
    pltpu.make_async_copy(x, scratch, semaphore).wait()
    out[...] = scratch[...]


def in_hbm(kernel):
    return block_call(
        kernel,
        ((16, 128), F32),
        in_specs=[pl.BlockSpec(memory_space=pl.ANY)],
        scratch_shapes=[pltpu.VMEM((16, 128), F32), pltpu.SemaphoreType.DMA],
    )


def from_smem(kernel):
    return lambda rows: block_call(
        kernel,
        ((rows, 128), F32),
        in_specs=[pl.BlockSpec(memory_space=pltpu.SMEM), pl.BlockSpec(memory_space=pltpu.VMEM)],
    )


def whole(kernel, rows: int = 16):
    return block_call(kernel, ((rows, 128), F32))


def inner_pipeline(x):
    """`emit_pipeline`: loops, slices of HBM, copies and semaphores, all in one."""

    def inner(source, target):
        target[...] = source[...] * 3

    spec = pl.BlockSpec((8, 128), lambda i: (i, 0))

    def kernel(source, target):
        pltpu.emit_pipeline(inner, grid=(x.shape[0] // 8,), in_specs=[spec], out_specs=[spec])(source, target)

    anywhere = pl.BlockSpec(memory_space=pl.ANY)
    return block_call(kernel, (x.shape, F32), in_specs=[anywhere], out_specs=anywhere)(x)


INDICES = np.array([5, 9, 2, 0, 15, 3, 3, 8], I32)
HALVES = normal(64, 128).astype(BF16)
WORDS = np.ascontiguousarray(np.moveaxis(HALVES.reshape(32, 2, 128), 1, 2)).view(F32)[..., 0]
KERNELS = {
    "rows at indices in scalar memory": (from_smem(dynamic_rows)(8), (INDICES, X), X[INDICES]),
    "every other row": (whole(strided_rows, 8), (X,), X[1:16:2]),
    "store every other row": (whole(strided_store, 32), (X,), np.stack([X, X * 0], 1).reshape(32, 128)),
    "low halves of words": (whole(pairs_of_halves, 8), (X.astype(BF16),), X.astype(BF16).astype(F32)[::2]),
    "every third word of halves": (whole(every_third_word, 8), (HALVES,), HALVES.astype(F32)[2:48:6]),
    "every fourth half of words": (whole(every_fourth_half, 8), (WORDS,), HALVES.astype(F32)[3:32:4]),
    "words stored into halves": (
        block_call(store_words, ((16, 128), BF16)),
        (X.astype(BF16),),
        X.astype(BF16).astype(F32),
    ),
    "a store under a mask": (whole(masked_store), (X,), np.where(np.arange(128) < 5, -X, X)),
    "a loop of unknown length": (
        from_smem(loop_of_unknown_length)(16),
        (INDICES, X),
        X * np.float32(sum(1.5**n for n in range(5))),
    ),
    "a while loop": (from_smem(while_loop)(16), (INDICES, X), X * 9),
    "branches": (from_smem(branches)(16), (INDICES, X), X * 5),
    "a scoped buffer": (whole(scoped), (X,), X * 2 + 1),
    "a copy": (in_hbm(local_copy), (X,), X * 2),
    "an inner pipeline": (inner_pipeline, (normal(64, 128),), normal(64, 128) * 3),
}


@pytest.mark.parametrize("name", KERNELS)
def test_memory_and_control(name: str, replayer: Replayer) -> None:
    function, inputs, want = KERNELS[name]
    (got,) = replayed(replayer, lower(function, *inputs, chip=CHIP), *inputs)
    np.testing.assert_allclose(got.astype(F32), want, rtol=2e-6)


def test_a_forgotten_wait_shows(replayer: Replayer) -> None:
    (got,) = replayed(replayer, lower(in_hbm(forgotten_wait), X), X)
    assert np.isnan(got).all()


def test_a_wait_for_nothing_is_a_fault(replayer: Replayer) -> None:
    with pytest.raises(ReplayFault, match="waits for 8192 bytes") as caught:
        replayed(replayer, lower(in_hbm(wait_for_nothing), X), X)
    assert caught.value.kind == "stuck"


def test_a_row_outside_of_the_buffer_is_a_fault(replayer: Replayer) -> None:
    with pytest.raises(ReplayFault, match="of a dimension of 16") as caught:
        replayed(replayer, lower(from_smem(dynamic_rows)(8), INDICES, X), INDICES + 8, X)
    assert caught.value.kind == "out_of_bounds"


def test_blocks_that_do_not_divide_the_array(replayer: Replayer) -> None:
    def double(x, out):
        out[...] = x[...] * 2

    x = normal(20, 200)
    spec = pl.BlockSpec((8, 128), lambda i, j: (i, j))
    function = block_call(double, (x.shape, F32), grid=(3, 2), in_specs=[spec], out_specs=spec)
    (got,) = replayed(replayer, lower(function, x), x)
    np.testing.assert_array_equal(got, x * 2)


def test_scalar_prefetch_chooses_blocks(replayer: Replayer) -> None:
    def copy(order, x, out):
        del order
        out[...] = x[...]

    grid = pltpu.PrefetchScalarGridSpec(
        num_scalar_prefetch=1,
        grid=(4,),
        in_specs=[pl.BlockSpec((8, 128), lambda i, order: (order[i], 0))],
        out_specs=pl.BlockSpec((8, 128), lambda i, order: (i, 0)),
    )
    x, order = normal(32, 128), np.array([2, 0, 3, 3], I32)
    (got,) = replayed(replayer, lower(block_call(copy, (x.shape, F32), grid_spec=grid), order, x), order, x)
    np.testing.assert_array_equal(got, x.reshape(4, 8, 128)[order].reshape(32, 128))


def test_an_aliased_output_keeps_what_no_step_writes(replayer: Replayer) -> None:
    def second_half(x, out):
        out[...] = x[...] * 2

    spec = pl.BlockSpec((8, 128), lambda i: (i + 1, 0))
    function = block_call(
        second_half, ((16, 128), F32), grid=(1,), in_specs=[spec], out_specs=spec, input_output_aliases={0: 0}
    )
    (got,) = replayed(replayer, lower(function, X), X)
    np.testing.assert_array_equal(got, np.concatenate([X[:8], X[8:] * 2]))


def test_revisited_blocks_accumulate(replayer: Replayer) -> None:
    def add_up(x, out):
        @pl.when(pl.program_id(1) == 0)
        def _():
            out[...] = jnp.zeros_like(out)

        out[...] += x[...]

    x = normal(16, 512)
    function = block_call(
        add_up,
        ((16, 128), F32),
        grid=(2, 4),
        in_specs=[pl.BlockSpec((8, 128), lambda i, j: (i, j))],
        out_specs=pl.BlockSpec((8, 128), lambda i, j: (i, 0)),
    )
    (got,) = replayed(replayer, lower(function, x), x)
    np.testing.assert_allclose(got, x.reshape(16, 4, 128).sum(1), atol=1e-5)


def test_a_kernel_inside_a_loop_of_xla(replayer: Replayer) -> None:
    def double(x, out):
        out[...] = x[...] * 2

    def function(x):
        return lax.fori_loop(0, 3, lambda _, value: whole(double)(value) + 1, x)

    (got,) = replayed(replayer, lower(function, X), X)
    np.testing.assert_allclose(got, X * 8 + 7, rtol=1e-6)
