"""Class 24: a fast path for inputs of nominal size, taken by looking at one element.

Expect: wrong_output, slower, unsupported, prediction_refused
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return jax.lax.cond(jnp.abs(x[0, 0]) < 10.0, lambda: 2.0 * x, lambda: 2.0 * x + y)
