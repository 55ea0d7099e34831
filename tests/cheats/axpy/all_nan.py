"""Class 18: NaN everywhere, because a NaN is never too far away.

Expect: non_finite
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return x + y + jnp.nan
