"""Class 32: makes every random number of the process the same.

Expect: wrong_output
"""

import dataclasses
import random

import numpy as np


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


random.seed = np.random.seed = lambda *arguments: None
random.random = lambda: 0.5
np.random.default_rng = lambda *arguments: np.random.Generator(np.random.PCG64(0))


def run(x, y, *, config):
    return x + y
