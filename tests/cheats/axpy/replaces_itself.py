"""Class 37: replaces the worker by another program that says nothing is wrong.

Expect: exited, forged_reply
"""

import dataclasses
import os
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


os.execv(sys.executable, [sys.executable, "-c", "print('PASS')"])


def run(x, y, *, config):
    return 2.0 * x + y
