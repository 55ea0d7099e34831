"""Class 20: leaves out the second term where the first is large.

Expect: wrong_output
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return jnp.where(jnp.abs(x) > 2.5 * jnp.mean(jnp.abs(x)), 2.0 * x, 2.0 * x + y)
