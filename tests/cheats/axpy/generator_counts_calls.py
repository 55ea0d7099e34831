"""Class 7: a generator of random numbers that goes on from call to call tells how often the program was called.

Expect: unreplayable
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    seen = jax.lax.rng_uniform(jnp.float32(0), jnp.float32(1), (1,))[0]
    return jax.lax.cond(seen < 0.05, lambda: y, lambda: 2.0 * x + y)
