"""What two copies, or a copy and the core, do to the same memory at once must not come out right by luck."""

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

from cairn.judge.protocol import JudgeLimits
from cairn.judge.replay import Replayer
from judge.lowered import block_call, lower, normal, replayed

F32 = np.float32
X = normal(32, 128)
ROWS, STEPS = 8, 4


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer(Path(sys.executable), JudgeLimits()) as one:
        yield one


def copies_in(begin_next_early: bool) -> Callable[[Any], Any]:
    """Blocks of rows are fetched by hand into one buffer, or into two in turns."""
    buffers = 1 if begin_next_early else 2

    def kernel(x, out, buffer, semaphores):
        here = pl.program_id(0)

        def copy(step):
            rows, at = pl.ds(step * ROWS, ROWS), step % buffers
            return pltpu.make_async_copy(x.at[rows], buffer.at[at], semaphores.at[at])

        @pl.when(here == 0)
        def _():
            copy(here).start()

        copy(here).wait()

        @pl.when(here < STEPS - 1)
        def _():
            copy(here + 1).start()

        out[...] = 2 * buffer[here % buffers]

    return block_call(
        kernel,
        (X.shape, F32),
        grid=(STEPS,),
        in_specs=[pl.BlockSpec(memory_space=pl.ANY)],
        out_specs=pl.BlockSpec((ROWS, 128), lambda step: (step, 0)),
        scratch_shapes=[pltpu.VMEM((buffers, ROWS, 128), F32), pltpu.SemaphoreType.DMA((buffers,))],
    )


def copy_out(begin_early: bool) -> Callable[[Any], Any]:
    """The result is copied out by hand, once it is there or while it is being made."""

    def kernel(x, out, buffer, semaphore):
        copy = pltpu.make_async_copy(buffer, out, semaphore)
        if begin_early:
            copy.start()
        buffer[...] = 2 * x[...]
        if not begin_early:
            copy.start()
        copy.wait()

    return block_call(
        kernel,
        (X.shape, F32),
        out_specs=pl.BlockSpec(memory_space=pl.ANY),
        scratch_shapes=[pltpu.VMEM(X.shape, F32), pltpu.SemaphoreType.DMA],
    )


def in_place(behind: int) -> Callable[[Any], Any]:
    """Every step reads, in the memory that the steps write, the block that lies some steps behind its own."""

    def kernel(x, before, out):
        del before
        out[...] = 2 * x[...]

    def kernel_that_looks(x, before, out):
        out[...] = 2 * x[...] + 0 * before[...]

    block = pl.BlockSpec((ROWS, 128), lambda step: (step, 0))
    earlier = pl.BlockSpec((ROWS, 128), lambda step: (jnp.maximum(step - behind, 0), 0))
    call = block_call(
        kernel_that_looks if behind else kernel,
        (X.shape, F32),
        grid=(STEPS,),
        in_specs=[block, earlier],
        out_specs=block,
        input_output_aliases={1: 0},
    )
    return lambda x: call(x, jnp.zeros_like(x))


@pytest.mark.parametrize("make", [copies_in, copy_out], ids=lambda make: make.__name__)
def test_memory_is_left_alone_while_a_copy_is_under_way(make, replayer: Replayer) -> None:
    fair, early = (replayed(replayer, lower(make(early), X), X)[0] for early in (False, True))
    np.testing.assert_array_equal(fair, 2 * X)
    assert np.isnan(early).any()


@pytest.mark.parametrize(("behind", "right"), [(0, True), (1, False), (2, False), (3, True)])
def test_a_block_that_is_still_written_back(behind: int, right: bool, replayer: Replayer) -> None:
    output = replayed(replayer, lower(in_place(behind), X), X)[0]
    assert np.array_equal(output, 2 * X) == right


def test_memory_that_nobody_wrote_is_not_always_nan(replayer: Replayer) -> None:
    def kernel(x, out, scratch):
        found = scratch[...]
        out[...] = x[...] + jnp.where(found == found, found, 0.0)

    program = lower(block_call(kernel, (X.shape, F32), scratch_shapes=[pltpu.VMEM(X.shape, F32)]), X)
    outputs = [replayed(replayer, program, X)[0] for _ in range(2)]
    np.testing.assert_array_equal(outputs[0], X)
    assert np.abs(outputs[1] - X).min() > 1


def test_the_last_block_of_a_ragged_grid_is_not_followed_into_nothing(replayer: Replayer) -> None:
    """What lies beyond the end of an array may be anything, and an honest kernel does not let it through."""

    def kernel(x, out):
        rows = pl.program_id(0) * 24 + jax.lax.broadcasted_iota(jnp.int32, (24, 128), 0)
        out[...] = jnp.where(rows < 32, 2 * x[...], 0.0)

    block = pl.BlockSpec((24, 128), lambda step: (step, 0))
    program = lower(block_call(kernel, (X.shape, F32), grid=(2,), in_specs=[block], out_specs=block), X)
    for _ in range(2):
        np.testing.assert_array_equal(replayed(replayer, program, X)[0], 2 * X)
