"""Class 30: returns what an earlier grid step left in scratch memory.

Expect: non_finite, wrong_output
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(x, y, z, old):
    z[...] = old[...]
    old[...] = 2.0 * x[...] + y[...]


def run(x, y, *, config):
    spec = pl.BlockSpec((8, x.shape[1]), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel,
        grid=(x.shape[0] // 8,),
        in_specs=[spec, spec],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        scratch_shapes=[pltpu.VMEM((8, x.shape[1]), jnp.float32)],
    )(x, y)
