"""Class 20: the larger part of the answer.

Expect: wrong_output
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return 2.0 * x + 0.0 * y
