"""Class 36: closes the judge's pipe.

Expect: exited, forged_reply, killed
"""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    for descriptor in range(3, 64):
        try:
            os.close(descriptor)
        except OSError:
            pass
    return 2.0 * x + y
