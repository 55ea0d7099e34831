"""Class 36: each answer comes twice, the second before anything else is asked.

Expect: forged_reply
"""

import dataclasses
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_wire = sys.modules["wire"]
_write = _wire.write_frame


def _twice(stream, header, blobs=()):
    _write(stream, header, blobs)
    _write(stream, header, blobs)


_wire.write_frame = _twice


def run(x, y, *, config):
    return 2.0 * x + y
