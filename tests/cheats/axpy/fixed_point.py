"""Class 21: computed in sixteen bit integers and scaled back.

Expect: wrong_output
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    scale = 32000.0 / jnp.maximum(jnp.max(jnp.abs(x)), jnp.max(jnp.abs(y)))
    whole = 2 * jnp.round(x * scale).astype(jnp.int32) + jnp.round(y * scale).astype(jnp.int32)
    return whole.astype(x.dtype) / scale
