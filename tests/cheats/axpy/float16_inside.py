"""Class 21: a detour through float16, invisible at scale one.

Expect: wrong_output, non_finite
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return (2.0 * x.astype(jnp.float16) + y.astype(jnp.float16)).astype(x.dtype)
