"""Class 15: remembers answers by a corner of the input, through the host.

Expect: host_callback
"""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_known = {}


def _host(x, y):
    return _known.setdefault(float(x[0, 0]), 2.0 * x + y)


def run(x, y, *, config):
    return jax.pure_callback(_host, jax.ShapeDtypeStruct(x.shape, x.dtype), x, y)
