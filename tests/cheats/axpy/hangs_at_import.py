"""Class 50: never comes back.

Expect: timeout
"""

import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


time.sleep(10_000)


def run(x, y, *, config):
    return x
