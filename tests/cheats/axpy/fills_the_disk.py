"""Class 50: writes until something gives.

Expect: killed, import_error, timeout, wrong_output, exited
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


with open("hoard", "wb") as _file:
    for _ in range(4096):
        _file.write(bytes(2**20))


def run(x, y, *, config):
    return x
