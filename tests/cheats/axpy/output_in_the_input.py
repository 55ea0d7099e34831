"""Class 30: gives the second input its own memory back as output and writes every other block.

Expect: wrong_output, non_finite
"""

import dataclasses

import jax
from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(x, y, z):
    @pl.when(pl.program_id(0) % 2 == 0)
    def _():
        z[...] = 2.0 * x[...] + y[...]


def run(x, y, *, config):
    spec = pl.BlockSpec((config.block, x.shape[1]), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel,
        grid=(x.shape[0] // config.block,),
        in_specs=[spec, spec],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        input_output_aliases={1: 0},
    )(x, y)
