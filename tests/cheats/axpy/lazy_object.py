"""Class 4: returns an object that computes only when somebody looks.

Expect: trace_error, runtime_error
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


class Lazy:
    def __init__(self, x, y):
        self.x, self.y, self.shape, self.dtype = x, y, x.shape, x.dtype

    def block_until_ready(self):
        return self

    def __array__(self, dtype=None, copy=None):
        return 2.0 * self.x + self.y


def run(x, y, *, config):
    return Lazy(x, y)
