"""Class 19: the right values in a cheaper type.

Expect: wrong_shape
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return (2.0 * x + y).astype(jnp.bfloat16)
