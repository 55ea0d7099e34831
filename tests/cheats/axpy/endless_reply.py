"""Class 50: announces gigabytes and sends them byte by byte.

Expect: forged_reply, timeout, memory
"""

import dataclasses
import struct
import sys
import time


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def _endless(stream, header, blobs=()):
    text = ('{{"id": "{}", "config": {{}}, "blobs": [3000000000]}}'.format(header["id"])).encode()
    stream.write(struct.pack("<4sI", b"CRN1", len(text)) + text)
    while True:
        stream.write(b"x")
        stream.flush()
        time.sleep(0.01)


sys.modules["wire"].write_frame = _endless


def run(x, y, *, config):
    return 2.0 * x + y
