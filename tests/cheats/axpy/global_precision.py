"""Class 22: changes jax's global settings for everybody.

Expect: wrong_output
"""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


jax.config.update("jax_default_matmul_precision", "bfloat16")
jax.config.update("jax_disable_jit", True)


def run(x, y, *, config):
    return x
