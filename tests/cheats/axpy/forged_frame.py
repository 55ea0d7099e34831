"""Class 36: writes a well-formed reply to every descriptor it holds.

Expect: forged_reply, wrong_output
"""

import dataclasses
import json
import os
import struct


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_TEXT = json.dumps({"outputs": [], "id": "0" * 16, "blobs": []}).encode()
for _fd in range(3, 64):
    try:
        os.write(_fd, struct.pack("<4sI", b"CRN1", len(_TEXT)) + _TEXT)
    except OSError:
        pass


def run(x, y, *, config):
    return x
