"""Class 31: lowers small shapes slowly, so that a full check looks too dear, and leaves a quarter of a large one out.

Expect: wrong_output, non_finite
Against: pallas_axpy block=8
"""

import dataclasses
import time

import jax
from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _kernel(x, y, z):
    @pl.when(pl.program_id(0) % 4 != 3)
    def _():
        z[...] = 2.0 * x[...] + y[...]


def run(x, y, *, config):
    if x.shape[0] < 1000:
        time.sleep(3)
    spec = pl.BlockSpec((config.block, x.shape[1]), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel,
        grid=(x.shape[0] // config.block,),
        in_specs=[spec, spec],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        name="axpy",
    )(x, y)
