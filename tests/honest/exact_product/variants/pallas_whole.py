"""The same in a kernel."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def kernel(a, b, c):
    c[...] = jnp.dot(a[...], b[...], precision=jax.lax.Precision.HIGHEST)


def run(a, b, *, config):
    del config
    shape = jax.ShapeDtypeStruct((a.shape[0], b.shape[1]), jnp.float32)
    return pl.pallas_call(kernel, out_shape=shape)(a, b)
