"""Baseline."""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    return x.max(axis=1), x.argmax(axis=1).astype(jnp.int32)
