"""Baseline: float32 between."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, weight, *, config):
    del config
    wide = x.astype(jnp.float32)
    scale = jax.lax.rsqrt((wide * wide).mean(axis=1, keepdims=True) + 1e-12)
    return (wide * scale * weight.astype(jnp.float32)).astype(x.dtype)
