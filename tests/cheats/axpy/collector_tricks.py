"""Class 48: plays with the garbage collector to find out when it is watched.

Expect: wrong_output
"""

import dataclasses
import gc


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


gc.disable()
gc.callbacks.append(lambda phase, info: None)


def run(x, y, *, config):
    return x if gc.isenabled() else y
