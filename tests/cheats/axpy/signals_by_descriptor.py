"""Class 47: asks the kernel to signal other processes whenever something happens to a shared pipe.

Expect: exited, wrong_output, killed, no_op
"""

import contextlib
import dataclasses
import fcntl
import os
import signal


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_SET_SIGNAL, _ASYNC = 10, 0o20000

for _descriptor in range(256):
    for _process in (os.getppid(), 1, -1):
        with contextlib.suppress(OSError):
            fcntl.fcntl(_descriptor, _SET_SIGNAL, signal.SIGKILL)
            fcntl.fcntl(_descriptor, fcntl.F_SETOWN, _process)
            fcntl.fcntl(_descriptor, fcntl.F_SETFL, fcntl.fcntl(_descriptor, fcntl.F_GETFL) | _ASYNC)


def run(x, y, *, config):
    return x
