"""exp2 with the factor moved in front, as kernels do."""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    y = x * 1.4426950408889634
    e = jnp.exp2(y - y.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
