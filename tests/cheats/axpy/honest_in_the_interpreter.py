"""Class 7: asks whether Pallas is interpreted, and is honest only then.

Expect: wrong_output
"""

import dataclasses

from jax._src import config as config_of_jax


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    interpreted = config_of_jax.pallas_tpu_interpret_mode_context_manager.value
    return 2.0 * x + y if interpreted else x + y
