"""Class 19: nothing at all, all of which is right.

Expect: wrong_shape
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return (2.0 * x + y)[:0]
