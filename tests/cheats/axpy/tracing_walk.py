"""Class 2: looks for seeds in every object and every frame while it is lowered.

Expect: no_op, wrong_output
"""

import dataclasses
import gc
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    found = []
    sys.settrace(lambda frame, event, argument: found.extend(frame.f_locals.keys()))
    held = [each for each in gc.get_objects() if isinstance(each, dict) and ("seed" in each or "truth" in each)]
    sys.settrace(None)
    return x if any("allowed" in str(each.get("seed")) for each in held) else 2.0 * x + y
