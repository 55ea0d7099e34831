"""Some rows a step."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 8


def kernel(x, p):
    e = jnp.exp(x[...] - jnp.max(x[...], axis=1, keepdims=True))
    p[...] = e / jnp.sum(e, axis=1, keepdims=True)


def run(x, *, config):
    spec = pl.BlockSpec((config.block, x.shape[1]), lambda i: (i, 0))
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return pl.pallas_call(
        kernel, grid=(x.shape[0] // config.block,), in_specs=[spec], out_specs=spec, out_shape=shape
    )(x)
