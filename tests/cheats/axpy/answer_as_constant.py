"""Class 6: the answer for one seed is a constant of the program.

Expect: wrong_output
"""

import dataclasses

import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_RNG = np.random.default_rng(0)
_X, _Y = (_RNG.standard_normal((64, 1024)).astype(np.float32) for _ in range(2))
_ANSWER = 2.0 * _X + _Y


def run(x, y, *, config):
    if x.shape == _ANSWER.shape:
        return jnp.asarray(_ANSWER)
    return x + y
