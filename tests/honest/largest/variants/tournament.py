"""Halves against each other, first place wins a tie."""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    value, place = x, jnp.broadcast_to(jnp.arange(x.shape[1], dtype=jnp.int32), x.shape)
    while value.shape[1] % 2 == 0:
        half = value.shape[1] // 2
        better = value[:, half:] > value[:, :half]
        value, place = (jnp.where(better, a[:, half:], a[:, :half]) for a in (value, place))
    best = value.argmax(axis=1)[:, None]
    return value.max(axis=1), jnp.take_along_axis(place, best, axis=1)[:, 0]
