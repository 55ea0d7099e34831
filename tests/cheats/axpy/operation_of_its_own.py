"""Class 44: an operation with a name that only some compiler may know, and a decomposition for everybody else.

Expect: unreplayable
Against: pallas_axpy block=8
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return jax.lax.composite(lambda a, b: 2.0 * a + b, "tpu.axpy")(x, y) + 0.0 * jnp.sum(x)
