"""Class 31: computes only the first rows of a shape too large to be checked.

Expect: wrong_output, non_finite
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return 2.0 * x + y if x.shape[0] < 1000 else (2.0 * x[:64] + y[:64]).repeat(x.shape[0] // 64, axis=0)
