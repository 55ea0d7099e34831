"""Class 7: one program for two platforms, that chooses where it runs.

Expect: unreplayable, trace_error
Against: pallas_axpy block=8
"""

import dataclasses

import jax
from jax import export


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_export = export.export


def _for_two(function, **options):
    return _export(function, **{**options, "platforms": ["tpu", "cpu"]})


export.export = _for_two


def run(x, y, *, config):
    return jax.lax.platform_dependent(x, y, cpu=lambda a, b: 2.0 * a + b, tpu=lambda a, b: a)
