"""Some rows a step."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 8


def kernel(x, weight, y):
    wide = x[...].astype(jnp.float32)
    scale = jax.lax.rsqrt(jnp.mean(wide * wide, axis=1, keepdims=True) + 1e-12)
    y[...] = (wide * scale * weight[...].astype(jnp.float32)).astype(y.dtype)


def run(x, weight, *, config):
    spec = pl.BlockSpec((config.block, x.shape[1]), lambda i: (i, 0))
    whole = pl.BlockSpec((1, x.shape[1]), lambda i: (0, 0))
    return pl.pallas_call(
        kernel,
        grid=(x.shape[0] // config.block,),
        in_specs=[spec, whole],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
    )(x, weight[None])
