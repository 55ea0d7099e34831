"""Baseline: what XLA makes of it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, y, *, config):
    del config
    return 2.0 * x + y
