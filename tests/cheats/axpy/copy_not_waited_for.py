"""Class 3: starts a copy and uses what it will bring before it has come.

Expect: non_finite, wrong_output, stuck
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(x, y, z, here, done):
    copy = pltpu.make_async_copy(x.at[pl.ds(pl.program_id(0) * 8, 8)], here, done)
    copy.start()
    z[...] = 2.0 * here[...] + y[...]
    copy.wait()


def run(x, y, *, config):
    spec = pl.BlockSpec((8, x.shape[1]), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel,
        grid=(x.shape[0] // 8,),
        in_specs=[pl.BlockSpec(memory_space=pl.ANY), spec],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        scratch_shapes=[pltpu.VMEM((8, x.shape[1]), jnp.float32), pltpu.SemaphoreType.DMA],
    )(x, y)
