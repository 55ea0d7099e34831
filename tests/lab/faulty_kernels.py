"""Kernels that compile and are wrong, for the interpreters; each is a function of its arrays alone."""

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

ROWS = jax.ShapeDtypeStruct((8, 128), jnp.float32)


def right(x):
    def kernel(x, out):
        out[...] = x[...] * 2.0

    return pl.pallas_call(kernel, out_shape=ROWS)(x)


def half_written(x):
    """The lower half of the output is never written."""

    def kernel(x, out):
        out[:4, :] = x[:4, :] * 2.0

    return pl.pallas_call(kernel, out_shape=ROWS)(x)


def fresh_accumulator(x):
    """Adds to scratch memory that nobody set to zero."""

    def kernel(x, out, total):
        total[...] += x[...]
        out[...] = total[...]

    return pl.pallas_call(kernel, out_shape=ROWS, scratch_shapes=[pltpu.VMEM((8, 128), jnp.float32)])(x)


def _copying(x, wait_in, wait_out):
    def kernel(x, out, buffer, arrived, left):
        fetch = pltpu.make_async_copy(x, buffer, arrived)
        fetch.start()
        if wait_in:
            fetch.wait()
        buffer[...] = buffer[...] * 2.0
        store = pltpu.make_async_copy(buffer, out, left)
        store.start()
        if wait_out:
            store.wait()
        if not wait_in:
            fetch.wait()

    anywhere = pl.BlockSpec(memory_space=pl.ANY)
    return pl.pallas_call(
        kernel,
        in_specs=[anywhere],
        out_specs=anywhere,
        out_shape=ROWS,
        scratch_shapes=[pltpu.VMEM((8, 128), jnp.float32), pltpu.SemaphoreType.DMA, pltpu.SemaphoreType.DMA],
    )(x)


def copies_awaited(x):
    return _copying(x, wait_in=True, wait_out=True)


def read_before_wait(x):
    """Computes on a block whose copy may still be under way."""
    return _copying(x, wait_in=False, wait_out=True)


def output_not_awaited(x):
    """Starts the copy of the result and leaves."""
    return _copying(x, wait_in=True, wait_out=False)


def beyond_the_end(x):
    """The last row asked for does not exist."""

    def kernel(start, x, out):
        out[...] = x[pl.ds(start[0], 8), :]

    specs = [pl.BlockSpec(memory_space=pltpu.SMEM), pl.BlockSpec((16, 128), lambda: (0, 0))]
    start = jnp.array([12], jnp.int32)
    return pl.pallas_call(kernel, in_specs=specs, out_shape=ROWS)(start, jnp.concatenate([x, x]))


def parallel_sum(x):
    """A running sum over a grid axis that is called parallel: every step reads what the one before wrote."""

    def kernel(x, out, total):
        @pl.when(pl.program_id(0) == 0)
        def _():
            total[...] = jnp.zeros_like(total)

        total[...] += x[...]
        out[...] = total[...]

    spec = pl.BlockSpec((8, 128), lambda i: (i, 0))
    return pl.pallas_call(
        kernel,
        grid=(4,),
        in_specs=[spec],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct((32, 128), jnp.float32),
        scratch_shapes=[pltpu.VMEM((8, 128), jnp.float32)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
    )(jnp.concatenate([x] * 4))


def skipped_blocks(x):
    """Whole blocks of the output are never written."""

    def kernel(x, out):
        @pl.when(pl.program_id(0) == 0)
        def _():
            out[...] = x[...]

    spec = pl.BlockSpec((8, 128), lambda i: (i, 0))
    array = jax.ShapeDtypeStruct((32, 128), jnp.float32)
    return pl.pallas_call(kernel, grid=(4,), in_specs=[spec], out_specs=spec, out_shape=array)(jnp.tile(x, (4, 1)))


def waits_twice(x):
    """The second wait is for a copy that nobody starts."""

    def kernel(x, out, arrived):
        copy = pltpu.make_async_copy(x, out, arrived)
        copy.start()
        copy.wait()
        copy.wait()

    anywhere = pl.BlockSpec(memory_space=pl.ANY)
    scratch = [pltpu.SemaphoreType.DMA]
    return pl.pallas_call(kernel, in_specs=[anywhere], out_specs=anywhere, out_shape=ROWS, scratch_shapes=scratch)(
        x
    )


def case(x, name):
    return globals()[name](x)
