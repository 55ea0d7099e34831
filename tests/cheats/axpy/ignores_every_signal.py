"""Class 43: grandchildren in sessions of their own that ignore every signal they may.

Expect: wrong_output
"""

import contextlib
import dataclasses
import os
import signal
import time


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


for _number in range(1, signal.NSIG):
    with contextlib.suppress(OSError, ValueError):
        signal.signal(_number, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            while True:
                time.sleep(1)
        os._exit(0)


def run(x, y, *, config):
    return x
