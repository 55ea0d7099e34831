"""A serialised program, ready to be called on a device, as it was written: no rounding in it is left out.

XLA may keep more bits than a program asks for, where that is quicker: a sum that is rounded to bfloat16 and then used
in float32 is then not rounded at all. Whether it does depends on what stands beside the sum, so an honest program
could be refused for a value that it never wrote down, and a dishonest one could pass for more precise than it is.
The replay is bound in the same way.
"""

from typing import Any

import jax
from jax import export

_OPTIONS: dict[str, Any] = {"xla_allow_excess_precision": False}
# inside of a fused loop a processor multiplies and adds in one step, without the rounding between them
_APART = {"xla_disable_hlo_passes": "fusion"}


def call_of(program: bytes, *, apart: bool = False) -> Any:
    """A function of the program's inputs; it is compiled by its first call. `apart`: each operation by itself."""
    options = _OPTIONS | (_APART if apart else {})
    return jax.jit(export.deserialize(bytearray(program)).call, compiler_options=options)
