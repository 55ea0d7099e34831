"""Class 36: sends noise in the place of its program, for whoever parses it.

Expect: unreplayable
"""

import dataclasses

from jax import export


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


export.Exported.serialize = lambda *positional, **options: bytearray(b"\x00\xff" * 5000)


def run(x, y, *, config):
    return 2.0 * x + y
