"""Class 31: exact for shapes small enough to be checked, cheaper for those that are priced.

Expect: wrong_output, no_op, within_margin, slower
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return 2.0 * x + y if x.shape[0] < 1000 else x + y
