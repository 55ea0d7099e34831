"""Class 37: leaves with success when it is called.

Expect: exited
"""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    os._exit(0)
