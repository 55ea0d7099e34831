"""Class 10: leaves busy children behind, which slow a program of many threads more than its own.

Expect: no_op, slower, within_margin, killed, exited
"""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        while True:
            sum(range(10_000))


def run(x, y, *, config):
    return 2.0 * x + y
