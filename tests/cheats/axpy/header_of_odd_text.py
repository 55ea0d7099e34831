"""Class 36: numbers too long to read and text that cannot be encoded, where names and sizes are expected.

Expect: forged_reply
"""

import dataclasses
import struct
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _odd(stream, header, blobs=()):
    text = f'{{"id": {header["id"]}, "config": {{"\\ud800": "\\u001b[2J"}}, "blobs": [{"9" * 4400}]}}'.encode()
    stream.write(struct.pack("<4sI", b"CRN1", len(text)) + text)
    stream.flush()


sys.modules["wire"].write_frame = _odd


def run(x, y, *, config):
    return 2.0 * x + y
