"""Class 5: a loop ends where a copy says, whose word the kernel itself overwrites before it has come.

Expect: slower, prediction_refused
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(x, y, words, z, here, semaphore):
    copy = pltpu.make_async_copy(words, here, semaphore)
    copy.start()
    here[0] = jnp.int32(0)
    copy.wait()
    turns = here[0]
    z[...] = jax.lax.fori_loop(
        0, turns, lambda i, made: jnp.where(i == 199, 2.0 * x[...] + y[...], made - x[...]), y[...]
    )


def run(x, y, *, config):
    spec = pl.BlockSpec((config.block, x.shape[1]), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel,
        grid=(x.shape[0] // config.block,),
        in_specs=[spec, spec, pl.BlockSpec(memory_space=pl.ANY)],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        scratch_shapes=[pltpu.SMEM((256,), jnp.int32), pltpu.SemaphoreType.DMA],
        name="axpy",
    )(x, y, jnp.full((256,), 200, jnp.int32))
