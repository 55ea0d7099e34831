"""A serialised program, ready to be called on a device, as it was written: no rounding in it is left out.

XLA may keep more bits than a program asks for, where that is quicker: a sum that is rounded to bfloat16 and then used
in float32 is then not rounded at all. Whether it does depends on what stands beside the sum, so an honest program
could be refused for a value that it never wrote down, and a dishonest one could pass for more precise than it is.
The replay is bound in the same way.
"""

from typing import Any

import jax
from jax import export

_OPTIONS = {"xla_allow_excess_precision": False}


def call_of(program: bytes) -> Any:
    """A function of the program's inputs; it is compiled by its first call."""
    return jax.jit(export.deserialize(bytearray(program)).call, compiler_options=_OPTIONS)
