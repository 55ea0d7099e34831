"""Class 50: takes memory until something gives.

Expect: memory, killed, import_error, runtime_error, timeout
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_hoard = []
while True:
    _hoard.append(bytearray(256 * 2**20))


def run(x, y, *, config):
    return x
