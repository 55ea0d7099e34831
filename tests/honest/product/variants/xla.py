"""Baseline: one dot."""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(a, b, *, config):
    del config
    return jnp.dot(a, b, preferred_element_type=jnp.float32)
