"""Class 50: nests folders deeper than a tidy program can follow.

Expect: exited, killed, import_error
"""

import dataclasses
import os
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


for _ in range(3000):
    Path("deeper").mkdir()
    os.chdir("deeper")
os._exit(3)


def run(x, y, *, config):
    return 2.0 * x + y
