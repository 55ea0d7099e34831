"""Class 50: doubles itself as often as it may.

Source: MiniMax's agent on kernelbench.com, which starved its competitors; here without their names.
Expect: memory, timeout, killed, exited, forged_reply
"""

import contextlib
import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


while True:
    with contextlib.suppress(OSError):
        os.fork()


def run(x, y, *, config):
    return 2.0 * x + y
