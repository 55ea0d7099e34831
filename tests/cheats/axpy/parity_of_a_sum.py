"""Class 24: computes only for half of all inputs, chosen by a bit of their sum.

Expect: wrong_output, prediction_refused
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    bit = jax.lax.bitcast_convert_type(jnp.sum(x[:8]), jnp.int32) & 1
    return jax.lax.cond(bit == 0, lambda: 2.0 * x + y, lambda: y)
