"""Class 18: one NaN among a hundred thousand right elements.

Expect: non_finite
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return (2.0 * x + y).at[3, 5].set(jnp.nan)
