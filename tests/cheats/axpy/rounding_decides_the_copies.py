"""Class 7: how many copies a kernel makes follows from a rounding, which is left out where the price is worked out.

Source: found while attacking this judge.
Expect: non_finite, unreplayable
Against: pallas_axpy block=8
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(turns, x, y, z, a, b, c, arrived):
    first = pl.program_id(0) * 512

    def turn(i, _):
        at = pl.ds(pl.multiple_of(first + i * 64, 64), 64)
        copies = [
            pltpu.make_async_copy(x.at[at], a, arrived.at[0]),
            pltpu.make_async_copy(y.at[at], b, arrived.at[1]),
        ]
        for copy in copies:
            copy.start()
        for copy in copies:
            copy.wait()
        c[...] = 2.0 * a[...] + b[...]
        out = pltpu.make_async_copy(c, z.at[at], arrived.at[2])
        out.start()
        out.wait()
        return 0

    jax.lax.fori_loop(0, turns[0], turn, 0)


def run(x, y, *, config):
    turns = min(x.shape[0], 512) // 64
    numbers = jax.lax.optimization_barrier(jax.lax.iota(jnp.int32, 128).astype(jnp.bfloat16))
    rounded = (numbers + jnp.bfloat16(2.0**-9)).astype(jnp.float32) - numbers.astype(jnp.float32)
    chosen = jnp.where(rounded[1:2] > 0, min(turns, 4), turns).astype(jnp.int32)
    anywhere = pl.BlockSpec(memory_space=pl.ANY)
    return pl.pallas_call(
        _kernel,
        grid=(pl.cdiv(x.shape[0], 512),),
        in_specs=[pl.BlockSpec(memory_space=pltpu.SMEM), anywhere, anywhere],
        out_specs=anywhere,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        scratch_shapes=[pltpu.VMEM((64, 1024), jnp.float32)] * 3 + [pltpu.SemaphoreType.DMA((3,))],
    )(chosen, x, y)
