"""Class 44: jax.jit is replaced by something that remembers.

Expect: wrong_output, trace_error, runtime_error, no_op
"""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_jit, _memory = jax.jit, {}


def _remembering(function, **options):
    compiled = _jit(function, **options)
    return lambda *inputs: _memory.setdefault("answer", compiled(*inputs))


jax.jit = _remembering


def run(x, y, *, config):
    return 2.0 * x + y
