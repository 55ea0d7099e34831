"""Class 50: makes the pipes that it shares with the judge as small as they can be, and never waiting.

Expect: exited, wrong_output, forged_reply
"""

import contextlib
import dataclasses
import fcntl
import os


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_SET_PIPE_SIZE = 1031

for _descriptor in range(256):
    with contextlib.suppress(OSError):
        fcntl.fcntl(_descriptor, _SET_PIPE_SIZE, 4096)
    with contextlib.suppress(OSError):
        fcntl.fcntl(_descriptor, fcntl.F_SETFL, fcntl.fcntl(_descriptor, fcntl.F_GETFL) | os.O_NONBLOCK)


def run(x, y, *, config):
    return x
