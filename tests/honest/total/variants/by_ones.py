"""The sum as a product with ones, in full precision."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    ones = jnp.ones((1, x.shape[0]), x.dtype)
    sums = (jnp.dot(ones, y, precision=jax.lax.Precision.HIGHEST)[0] for y in (x, x * x))
    return tuple(sums)
