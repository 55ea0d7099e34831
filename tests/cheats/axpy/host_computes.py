"""Class 5: lets the host do the work, where no chip is charged for it.

Expect: host_callback, unexpected_call, unsupported, trace_error, compile_error, unreplayable
"""

import dataclasses

import jax
from jax.experimental.compute_on import compute_on


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    @compute_on("device_host")
    @jax.jit
    def on_the_host(x, y):
        return 2.0 * x + y

    return on_the_host(x, y)
