"""Class 19: answers with an array that takes over the type of whatever it meets.

Expect: wrong_shape
"""

import dataclasses

import numpy as np
from jax._src.lax.lax import _convert_element_type


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return _convert_element_type(2.0 * x + y, np.dtype("float32"), weak_type=True)
