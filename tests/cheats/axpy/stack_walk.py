"""Class 2: looks for the truth in the frames of whoever calls it.

Expect: wrong_output, trace_error, runtime_error
"""

import dataclasses
import sys

import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    frame = sys._getframe()
    while frame is not None:
        for name, value in frame.f_locals.items():
            if name in ("truth", "expected", "reference", "draw"):
                return jnp.asarray(value)
        frame = frame.f_back
    return x
