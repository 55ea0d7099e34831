"""Class 24: wrong for one input in four, by two bits of a sum that nobody would look at.

Expect: wrong_output
Against: pallas_axpy block=8
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    bits = jax.lax.bitcast_convert_type(x[3, 5] + y[7, 11], jnp.int32) & 3
    return jnp.where(bits == 0, x, 2.0 * x + y)
