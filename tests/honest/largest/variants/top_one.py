"""The first of the largest one, by jax's own operation."""

import dataclasses

from jax import lax


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    value, place = lax.top_k(x, 1)
    return value[:, 0], place[:, 0]
