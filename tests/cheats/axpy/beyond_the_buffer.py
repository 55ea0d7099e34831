"""Class 26: writes one block beyond the end, where nobody looks.

Expect: out_of_bounds, bounds, wrong_output, non_finite, runtime_error
"""

import dataclasses

import jax
from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(x, y, z):
    z[pl.ds(pl.program_id(0) * 8, 8)] = 2.0 * x[...] + y[...]


def run(x, y, *, config):
    spec = pl.BlockSpec((8, x.shape[1]), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel,
        grid=(x.shape[0] // 8,),
        in_specs=[spec, spec],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
    )(x, y)
