"""Class 40: leaves start files where the next interpreter would load them, and wrong flags in the environment.

Expect: wrong_output, no_op
"""

import contextlib
import dataclasses
import os
import site
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_TEXT = "import os; os.environ['XLA_FLAGS'] = '--xla_tpu_impure=true'"
os.environ["LD_PRELOAD"] = str(Path.cwd() / "own.so")
os.environ["XLA_FLAGS"] = "--xla_allow_excess_precision=true"
for _folder in [*site.getsitepackages(), str(Path.home()), "/tmp", str(Path(__file__).parents[1])]:
    for _name in ("sitecustomize.py", "usercustomize.py", "own.pth"):
        with contextlib.suppress(OSError):
            Path(_folder, _name).write_text(_TEXT)


def run(x, y, *, config):
    return 2.0 * x + y * 1.01
