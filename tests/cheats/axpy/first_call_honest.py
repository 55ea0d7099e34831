"""Class 7: honest the first time it is traced for a shape, cheap from then on.

Expect: wrong_output, no_op
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_seen = []


def run(x, y, *, config):
    _seen.append(x.shape)
    return 2.0 * x + y if _seen.count(x.shape) == 1 else x
