"""Class 20: the last row is left out.

Expect: wrong_output
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return (2.0 * x + y).at[-1].set(0.0)
