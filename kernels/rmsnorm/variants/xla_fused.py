"""Residual addition and RMS norm in plain JAX; the compiler fuses it, which is hard to beat."""

import dataclasses

import jax
import jax.numpy as jnp

EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class Config:
    """Nothing to choose: the compiler picks its tiles."""


def run(x, residual, weight, *, config: Config) -> tuple[jax.Array, jax.Array]:
    """Return y [T,D] and the new residual [T,D], both bfloat16."""
    del config
    summed = (x.astype(jnp.float32) + residual.astype(jnp.float32)).astype(x.dtype)
    wide = summed.astype(jnp.float32)
    scale = jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + EPSILON)
    return (wide * scale * weight).astype(x.dtype), summed
