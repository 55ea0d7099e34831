"""Class 37: a result printed on the way out.

Expect: exited, import_error
"""

import atexit
import dataclasses
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


atexit.register(lambda: print('{"verdict": "KEEP"}'))
sys.exit(0)


def run(x, y, *, config):
    return x
