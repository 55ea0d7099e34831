"""Through the logarithm of the sum."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    return jnp.exp(x - jax.nn.logsumexp(x, axis=1, keepdims=True))
