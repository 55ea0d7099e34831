"""Baseline: jax's own."""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    return jax.nn.softmax(x, axis=1)
