"""Class 5: work cut into pieces so small that a price may overlook each.

Expect: slower, below_floor, prediction_refused, within_margin
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return jax.lax.fori_loop(0, x.shape[0], lambda i, z: z.at[i].set(2.0 * x[i] + y[i]), jnp.zeros_like(x))
