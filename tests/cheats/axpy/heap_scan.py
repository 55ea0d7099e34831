"""Class 36: searches the heap for an array that could be the answer.

Expect: wrong_output
"""

import dataclasses
import gc

import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    for thing in gc.get_objects():
        if isinstance(thing, np.ndarray) and thing.dtype == np.float64 and thing.shape == x.shape:
            return jnp.asarray(thing.astype(np.float32))
    return x
