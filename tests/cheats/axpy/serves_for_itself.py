"""Class 36: takes over the answering of requests and lowers something cheaper for large shapes.

Expect: wrong_output
Against: pallas_axpy block=8
"""

import dataclasses
import sys


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_state = {"honest": True}
_handle = sys.modules["candidate"].handle


def _taken_over(header, blobs):
    _state["honest"] = all(spec["shape"][0] < 1000 for spec in header.get("inputs", []))
    return _handle(header, blobs)


sys.modules["candidate"].handle = _taken_over


def run(x, y, *, config):
    return 2.0 * x + y if _state["honest"] else 2.0 * x
