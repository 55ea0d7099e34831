"""Class 36: replaces what writes replies: errors in shapes that nobody expects.

Expect: forged_reply, import_error, trace_error
"""

import dataclasses
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_wire = sys.modules["wire"]
_write = _wire.write_frame
_wire.write_frame = lambda stream, header, blobs=(): _write(
    stream, {"id": header["id"], "error": [1, {"type": []}]}
)


def run(x, y, *, config):
    return 2.0 * x + y
