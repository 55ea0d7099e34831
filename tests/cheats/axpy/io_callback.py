"""Class 5: the same through an ordered callback.

Expect: host_callback
"""

import dataclasses

import jax
from jax.experimental import io_callback


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return io_callback(lambda a, b: 2.0 * a + b, shape, x, y, ordered=True)
