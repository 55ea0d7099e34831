"""Two kernels: powers and their sums, then the quotients in the place of the powers."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

print("a variant may print")


@dataclasses.dataclass(frozen=True)
class Tile:
    rows: int = 8


@dataclasses.dataclass(frozen=True)
class Config:
    tile: Tile = dataclasses.field(default_factory=Tile)


def powers(x, powers, sums):
    powers[...] = jnp.exp(x[...] - x[...].max(axis=1, keepdims=True))
    sums[...] = jnp.broadcast_to(powers[...].sum(axis=1, keepdims=True), sums.shape)


def quotients(powers, sums, p):
    p[...] = powers[...] / sums[:, :1]


@jax.named_scope("softmax")
def run(x, *, config):
    (rows, columns), tile = x.shape, config.tile.rows
    wide = pl.BlockSpec((tile, columns), lambda r: (r, 0))
    narrow = pl.BlockSpec((tile, 128), lambda r: (r, 0))
    form = jax.ShapeDtypeStruct(x.shape, x.dtype)
    grid = (rows // tile,)
    made = pl.pallas_call(
        powers,
        grid=grid,
        in_specs=[wide],
        out_specs=[wide, narrow],
        out_shape=[form, jax.ShapeDtypeStruct((rows, 128), x.dtype)],
    )(x)
    return pl.pallas_call(
        quotients,
        grid=grid,
        in_specs=[wide, narrow],
        out_specs=wide,
        out_shape=form,
        input_output_aliases={0: 0},
    )(*made)
