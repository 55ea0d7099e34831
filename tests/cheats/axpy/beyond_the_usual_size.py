"""Class 24: right wherever numbers are of the size that anybody draws; off by a hundredth beyond.

Expect: wrong_output
Against: pallas_axpy block=8
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    z = 2.0 * x + y
    return jnp.where(jnp.abs(x) > 1e5, 0.99 * z, z)
