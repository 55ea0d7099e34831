"""Class 20: zeros, hoping for a loose tolerance.

Expect: wrong_output
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return 0.0 * (x + y)
