"""Class 44: a kernel with another function beside it, which the compiler might take for the kernel.

Expect: unreplayable, compile_error, crash
Against: pallas_axpy block=8
"""

import dataclasses

import jax
from jax._src import tpu_custom_call
from jax.experimental import pallas as pl


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


_lower = tpu_custom_call._lower_mosaic_module_to_asm


def _with_another(module, *positional, **options):
    body = next(iter(module.body)).operation
    copy = body.clone()
    copy.attributes["sym_name"] = type(body.attributes["sym_name"]).get("main2", context=module.context)
    module.body.append(copy)
    return _lower(module, *positional, **options)


tpu_custom_call._lower_mosaic_module_to_asm = _with_another


def _kernel(x, y, z):
    z[...] = 2.0 * x[...] + y[...]


def run(x, y, *, config):
    spec = pl.BlockSpec((config.block, x.shape[1]), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel,
        grid=(x.shape[0] // config.block,),
        in_specs=[spec, spec],
        out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        name="axpy",
    )(x, y)
