"""Class 19: answers with another tree around the right arrays.

Expect: wrong_shape, trace_error
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return [{"z": 2.0 * x + y}]
