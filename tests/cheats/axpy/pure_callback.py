"""Class 5: computes on the host, where no device time is counted.

Expect: host_callback
"""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return jax.pure_callback(lambda a, b: 2.0 * a + b, jax.ShapeDtypeStruct(x.shape, x.dtype), x, y)
