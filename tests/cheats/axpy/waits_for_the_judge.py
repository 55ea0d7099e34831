"""Class 7: sleeps while it is loaded and lowered, and is quick afterwards.

Expect: no_op, slower, within_margin
"""

import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


time.sleep(1)


def run(x, y, *, config):
    time.sleep(0.5)
    return 2.0 * x + y
