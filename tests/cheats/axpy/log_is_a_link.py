"""Class 39: puts a pipe, which blocks every reader, in the place of its log and ends.

Expect: exited
"""

import dataclasses
import os
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


for _name in ("worker.log", "../worker.log"):
    try:
        Path(_name).unlink()
        os.mkfifo(_name)
    except OSError:
        pass
os._exit(3)


def run(x, y, *, config):
    return 2.0 * x + y
