"""Class 21: computed in bfloat16 and widened again.

Expect: wrong_output
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return (2 * x.astype(jnp.bfloat16) + y.astype(jnp.bfloat16)).astype(x.dtype)
