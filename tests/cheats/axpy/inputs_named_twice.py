"""Class 44: the program's header sends the first input to both places, so that whoever reads it alone sees one read.

Expect: wrong_output, unreplayable
Against: pallas_axpy block=8
"""

import dataclasses

from jax import export


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_serialize = export.Exported.serialize


def _first_twice(exported, *positional, **options):
    return _serialize(dataclasses.replace(exported, module_kept_var_idx=(0, 0)), *positional, **options)


export.Exported.serialize = _first_twice


def run(x, y, *, config):
    return 2.0 * x + y
