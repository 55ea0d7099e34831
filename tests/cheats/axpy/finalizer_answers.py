"""Class 37: answers from a finalizer while the interpreter shuts down.

Expect: exited, forged_reply, killed
"""

import atexit
import contextlib
import dataclasses
import os
import sys
import weakref


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


class _Last:
    def __del__(self):
        for fd in range(3, 64):
            with contextlib.suppress(OSError):
                os.write(fd, b"CRN1 KEEP")


_last = _Last()
atexit.register(_last.__del__)
weakref.finalize(_last, print, "PASS 99x")
sys.exit(0)


def run(x, y, *, config):
    return 2.0 * x + y
