"""Class 5: a loop whose second iteration, by which the others are priced, does next to nothing.

Expect: prediction_refused, slower, within_margin, unsupported
Against: pallas_axpy block=8
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(start, x, y, old, z):
    z[...] = 2.0 * x[...] + y[...]


def run(x, y, *, config):
    rows, columns = x.shape
    blocks = rows // 8

    def step(i, z):
        small = (i == 0) | (i == 1) | (i == 5)
        many = jnp.where(small, 1, (blocks - 3) // 3)
        start = jnp.where(
            i < 2, i, jnp.where(i == 5, 2 + 3 * ((blocks - 3) // 3), 2 + (i - 2) * ((blocks - 3) // 3))
        )
        spec = pl.BlockSpec((8, columns), lambda j, start: (start[0] + j, 0))
        return pl.pallas_call(
            _kernel,
            grid_spec=pltpu.PrefetchScalarGridSpec(1, grid=(many,), in_specs=[spec] * 3, out_specs=spec),
            out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
            input_output_aliases={3: 0},
        )(start.reshape(1), x, y, z)

    done = jax.lax.fori_loop(0, 6, step, y)
    left = 3 + 3 * ((blocks - 3) // 3)
    return done.at[8 * left :].set(2.0 * x[8 * left :] + y[8 * left :])
