"""Class 44: the program's header names narrower outputs than its text has; one compiler reads the header.

Expect: unreplayable
Against: pallas_axpy block=8
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import export


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_serialize = export.Exported.serialize


def _narrow(exported, *positional, **options):
    avals = tuple(jax.core.ShapedArray(aval.shape, jnp.bfloat16) for aval in exported.out_avals)
    return _serialize(dataclasses.replace(exported, out_avals=avals), *positional, **options)


export.Exported.serialize = _narrow


def run(x, y, *, config):
    return 2.0 * x + y
