"""Class 19: one output too many.

Expect: wrong_shape
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return 2.0 * x + y, x
