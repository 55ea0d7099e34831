"""Class 50: an answer in a million empty parts.

Expect: forged_reply
"""

import dataclasses
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_wire = sys.modules["wire"]
_write = _wire.write_frame
_wire.write_frame = lambda stream, header, blobs=(): _write(stream, header, [*blobs, *[b""] * 1_000_000])


def run(x, y, *, config):
    return 2.0 * x + y
