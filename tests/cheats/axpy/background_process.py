"""Class 43: a process of its own that outlives the worker, if it may.

Expect: wrong_output
"""

import dataclasses
import subprocess


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


try:
    subprocess.Popen(["sleep", "300"], start_new_session=True)
except OSError:
    pass


def run(x, y, *, config):
    return x
