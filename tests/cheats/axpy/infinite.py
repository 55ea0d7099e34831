"""Class 18: infinity on both sides of a comparison.

Expect: non_finite
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return (2.0 * x + y) / 0.0
