"""Class 31: half of a large answer is a copy of the other half, where every small one is whole.

Expect: wrong_output
Against: pallas_axpy block=8
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    half = x.shape[0] // 2
    if x.shape[0] < 1000:
        return 2.0 * x + y
    z = 2.0 * x[:half] + y[:half]
    return jnp.concatenate([z, z])
