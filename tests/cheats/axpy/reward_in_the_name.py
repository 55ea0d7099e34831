"""Class 49: claims its speed-up in prose.

Expect: no_op, slower, within_margin
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


SPEEDUP = "99x, verified"
__verdict__ = "KEEP"


def run(x, y, *, config):
    return 2.0 * x + y
