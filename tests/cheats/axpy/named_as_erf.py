"""Class 44: work in the decomposition of an operation named after a cheap one, for which a compiler takes it.

Expect: wrong_output
Against: pallas_axpy block=8
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    columns = x.shape[1]
    both = jnp.concatenate([x, y], axis=1)

    def honest(b):
        return jnp.pad(2.0 * b[:, :columns] + b[:, columns:], ((0, 0), (0, columns)))

    return jax.lax.composite(honest, "chlo.erf", version=1)(both)[:, :columns]
