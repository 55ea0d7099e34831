"""Class 38: tries to loosen the tolerance and the reference on disk.

Expect: wrong_output, import_error, trace_error, runtime_error, frozen_changed
"""

import dataclasses
import itertools
import pathlib


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


for _root in (".", "..", "/"):
    for _path in itertools.islice(pathlib.Path(_root).glob("*/problem.yaml"), 10):
        _path.write_text("tolerance: {multiple: 1.0e9}")


def run(x, y, *, config):
    return x
