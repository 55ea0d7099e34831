"""Class 45: calls a function by a name that the author has chosen.

Expect: unexpected_call, unreplayable, trace_error, unsupported, compile_error
"""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    return jax.ffi.ffi_call("my_fast_axpy", jax.ShapeDtypeStruct(x.shape, x.dtype))(x, y)
