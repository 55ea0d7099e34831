"""Adds in the order of the sorted values: an order that depends on the data."""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    y = jnp.sort(x, axis=0)
    return y.sum(axis=0), (y * y).sum(axis=0)
