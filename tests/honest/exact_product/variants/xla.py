"""Baseline: the highest precision."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(a, b, *, config):
    del config
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)
