"""The first column that equals the maximum."""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    high = x.max(axis=1, keepdims=True)
    columns = jnp.arange(x.shape[1], dtype=jnp.int32)
    place = jnp.where(x == high, columns, x.shape[1]).min(axis=1)
    return high[:, 0], place
