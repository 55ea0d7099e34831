"""Class 15: remembers answers by the identity of the input.

Expect: wrong_output, no_op, trace_error
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_known = {}


def run(x, y, *, config):
    return _known.setdefault(id(x), 2.0 * x + y)
