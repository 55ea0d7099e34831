"""Class 44: the work hangs on a remainder by zero, which a compiler may take for anything, and for no work at all.

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
    sixty_four = jnp.full(x.shape, 64, jnp.int32)
    z[...] = jnp.where(jax.lax.rem(sixty_four, jnp.zeros_like(sixty_four)) == 0, 2.0 * x[...] + y[...], x[...])


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
