"""Baseline."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
    del config
    return x.sum(axis=0), (x * x).sum(axis=0)
