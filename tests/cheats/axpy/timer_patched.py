"""Class 1: every clock of the process says that nothing takes time.

Expect: no_op, slower, within_margin
"""

import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


time.perf_counter = time.time = time.monotonic = lambda: 0.0


def run(x, y, *, config):
    return 2.0 * x + y
