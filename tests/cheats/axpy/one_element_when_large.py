"""Class 31: one element of a large answer is off, by a thousandth of what is usual there.

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
    z = 2.0 * x + y
    if x.shape[0] < 1000:
        return z
    row, column = (jax.lax.broadcasted_iota(jnp.int32, z.shape, axis) for axis in (0, 1))
    return jnp.where((row == 517) & (column == 3), z + 2e-3, z)
