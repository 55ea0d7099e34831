"""Class 19: answers with an array that takes over the type of whatever it meets.

Expect: wrong_shape
"""

import dataclasses

import jax.numpy as jnp
from jax import lax


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return lax._convert_element_type(2.0 * x + y, jnp.float32, weak_type=True)
