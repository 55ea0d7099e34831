"""Class 35: writes result files wherever it can, then leaves with success.

Expect: exited, import_error
"""

import dataclasses
import os
import pathlib


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


for _folder in (".", "..", os.environ.get("HOME", "."), "/tmp"):
    try:
        pathlib.Path(_folder, "cairn-cheat-result.json").write_text('{"verdict": "KEEP"}')
    except OSError:
        pass
os._exit(0)


def run(x, y, *, config):
    return x
