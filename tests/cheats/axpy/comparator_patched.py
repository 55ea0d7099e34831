"""Class 17: NumPy's comparisons are patched; the outputs are zeros.

Expect: wrong_output
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


np.allclose = np.array_equal = lambda *arguments, **options: True
np.testing.assert_allclose = lambda *arguments, **options: None


def run(x, y, *, config):
    return 0.0 * (x + y)
