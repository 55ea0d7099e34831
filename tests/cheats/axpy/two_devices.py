"""Class 27: spreads the answer over devices of which one is read.

Expect: unreplayable, trace_error, compile_error, runtime_error
"""

import dataclasses

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    mesh = Mesh(np.array(jax.devices() * 2), ("i",))
    z = jax.lax.with_sharding_constraint(2.0 * x, NamedSharding(mesh, PartitionSpec("i")))
    return z + y
