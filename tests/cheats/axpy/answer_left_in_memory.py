"""Class 16: asks a routine of linear algebra for more than it will write, and finds what somebody else has left there.

Expect: unexpected_call, unsupported, trace_error
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    small = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    routine = jax.ffi.ffi_call("lapack_sgeqrf_ffi", (small, jax.ShapeDtypeStruct(x.shape, jnp.float32)))
    return routine(y[:8, :8])[1]
