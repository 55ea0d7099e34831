"""Class 5: how often a loop turns hangs on a remainder by zero: often enough here, never where it is priced.

Expect: wrong_output, runtime_error, unreplayable, timeout, prediction_refused
Against: pallas_axpy block=8
"""

import dataclasses

import jax
from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(x, y, z):
    nothing = pl.program_id(0) * 0
    turns = 2 - jax.lax.rem(nothing + 2, nothing)
    z[...] = jax.lax.fori_loop(0, turns, lambda i, total: total + x[...], y[...])


def run(x, y, *, config):
    spec = pl.BlockSpec((config.block, x.shape[1]), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel,
        grid=(x.shape[0] // config.block,),
        in_specs=[spec, spec],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        name="axpy",
    )(x, y)
