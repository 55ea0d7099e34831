"""Class 7: asks the last bits of an exponential whether a processor or a chip computes it.

Expect: prediction_refused, wrong_output
Against: pallas_axpy block=8
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    found = jax.lax.bitcast_convert_type(jnp.exp(jnp.float32(0.7) + 0.0 * x[0, 0]), jnp.int32)
    here = np.exp(np.float32(0.7)).view(np.int32)
    return jax.lax.cond(found == here, lambda: 2.0 * x + y, lambda: x)
