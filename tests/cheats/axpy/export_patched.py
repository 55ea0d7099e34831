"""Class 44: the export of the program is replaced by that of a cheaper one.

Expect: wrong_output, trace_error
"""

import dataclasses

import jax
from jax import export


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_export = export.export


def _cheaper(function, **options):
    return _export(jax.jit(lambda x, y: (x,)), **options)


export.export = _cheaper


def run(x, y, *, config):
    return 2.0 * x + y
