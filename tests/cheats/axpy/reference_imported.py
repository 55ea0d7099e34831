"""Class 13: imports the oracle and returns what it says.

Expect: wrong_output, import_error, trace_error, runtime_error
"""

import dataclasses
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    for module in list(sys.modules.values()):
        reference = getattr(module, "reference", None)
        if callable(reference):
            return reference(x, y)
    return x
