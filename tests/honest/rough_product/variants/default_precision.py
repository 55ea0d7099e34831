"""The chip's default does the same without casts."""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(a, b, *, config):
    del config
    return jnp.dot(a, b)
