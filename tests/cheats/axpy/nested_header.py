"""Class 36: answers with a header nested deeper than a parser can follow.

Expect: forged_reply, exited, killed
"""

import dataclasses
import os
import struct


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_TEXT = b"[" * 1_000_000
for _fd in range(3, 64):
    try:
        os.set_blocking(_fd, False)
        os.write(_fd, struct.pack("<4sI", b"CRN1", len(_TEXT)) + _TEXT[:60_000])
        os.set_blocking(_fd, True)
        os.write(_fd, _TEXT[60_000:])
    except OSError:
        pass


def run(x, y, *, config):
    return 2.0 * x + y
