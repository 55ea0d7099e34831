"""Class 31: answers from half of the rows where there are thousands of them.

Expect: wrong_output
Against: pallas_axpy block=8
"""

import dataclasses

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    rows = x.shape[0]
    if rows < 1000:
        return 2.0 * x + y
    half = 2.0 * x[: rows // 2] + y[: rows // 2]
    return jnp.concatenate([half, half])
