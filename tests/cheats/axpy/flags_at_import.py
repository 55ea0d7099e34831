"""Class 40: sets compiler flags for the process.

Expect: wrong_output, no_op
"""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


os.environ["XLA_FLAGS"] = "--xla_cpu_enable_fast_math=true"
os.environ["LIBTPU_INIT_ARGS"] = "--xla_tpu_impossible=true"


def run(x, y, *, config):
    return x
