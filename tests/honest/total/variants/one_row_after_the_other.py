"""A loop: the worst order there is for the error, and still honest."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config

    def add(total, row):
        return (total[0] + row, total[1] + row * row), None

    zero = jnp.zeros(x.shape[1], x.dtype)
    return jax.lax.scan(add, (zero, zero), x)[0]
