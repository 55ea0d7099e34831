"""Class 36: writes noise to every descriptor it holds.

Expect: forged_reply
"""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


for _fd in range(3, 64):
    try:
        os.write(_fd, b"PASS 99x" * 64)
    except OSError:
        pass


def run(x, y, *, config):
    return x
