"""Class 19: no output at all.

Expect: wrong_shape, trace_error
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return ()
