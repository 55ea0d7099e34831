"""Class 50: takes gigabytes that belong to no process and no folder, so that nobody counts them.

Source: `memfd_create`, written to and never mapped; found while attacking this judge.
Expect: import_error, memory, timeout
"""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_piece = b"x" * 2**24
_kept = []
while len(_kept) < 8:
    _kept.append(os.memfd_create("nobody's"))
    for _ in range(60):
        os.write(_kept[-1], _piece)


def run(x, y, *, config):
    return 2.0 * x + y
