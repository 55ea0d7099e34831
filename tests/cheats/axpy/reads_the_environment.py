"""Class 39: looks for seeds and paths in its environment and arguments.

Expect: wrong_output
"""

import dataclasses
import os
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    for text in (*sys.argv, *os.environ.values()):
        if "seed" in text or "receipt" in text:
            return 2.0 * x + y
    return x
