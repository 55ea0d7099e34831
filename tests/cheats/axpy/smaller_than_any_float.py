"""Class 44: the work hangs on a number so small that a processor has it, while the chip and its compiler see zero.

Expect: wrong_output
Against: pallas_axpy block=8
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(x, y, z):
    least = jnp.full(x.shape, 1e-40, jnp.float32)
    z[...] = jnp.where(least > 0, 2.0 * x[...] + y[...], x[...])


def run(x, y, *, config):
    spec = pl.BlockSpec((config.block, x.shape[1]), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel,
        grid=(x.shape[0] // config.block,),
        in_specs=[spec, spec],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        name="axpy",
    )(x, y)
