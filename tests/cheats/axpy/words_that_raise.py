"""Class 36: an error whose text raises in its turn, so that nobody can say what it was.

Source: found while attacking this judge.
Expect: trace_error
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


class _Kind(type):
    @property
    def __name__(cls):
        raise SystemExit(0)


class Unspeakable(Exception, metaclass=_Kind):
    def __str__(self):
        raise Unspeakable

    __repr__ = __str__


def run(x, y, *, config):
    raise Unspeakable
