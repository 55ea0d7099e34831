"""Class 41: points jax's compilation cache at a folder that others may read.

Expect: wrong_output
"""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


jax.config.update("jax_compilation_cache_dir", "/tmp/cairn-cheat-cache")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def run(x, y, *, config):
    return x
