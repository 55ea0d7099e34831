"""Class 44: pallas_call is replaced by plain arithmetic and called a kernel.

Expect: no_op, slower, within_margin
"""

import dataclasses

from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


pl.pallas_call = lambda *arguments, **options: lambda x, y: 2.0 * x + y


def run(x, y, *, config):
    return pl.pallas_call(None)(x, y)
