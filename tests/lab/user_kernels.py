"""Functions as people write them, for `cairn lab FILE:FUNCTION`."""

import functools
import sys

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel, splash_attention_mask

print("a module may print", file=sys.stdout)
KIND = jax.devices()[0].device_kind
BLOCKS = {"TPU v5 lite": 256, "TPU v6 lite": 512}


def matmul(x, y, *, block=256, out_dtype=None):
    def kernel(x, y, out):
        out[...] = jnp.dot(x[...], y[...], preferred_element_type=jnp.float32).astype(out.dtype)

    (rows, depth), columns = x.shape, y.shape[1]
    return pl.pallas_call(
        kernel,
        grid=(rows // block, columns // block),
        in_specs=[
            pl.BlockSpec((block, depth), lambda i, j: (i, 0)),
            pl.BlockSpec((depth, block), lambda i, j: (0, j)),
        ],
        out_specs=pl.BlockSpec((block, block), lambda i, j: (i, j)),
        out_shape=jax.ShapeDtypeStruct((rows, columns), out_dtype or x.dtype),
        name="matmul",
    )(x, y)


static = functools.partial(jax.jit, static_argnames=("block",))(matmul)
fixed = jax.jit(functools.partial(matmul, block=512))


def several(x, y=None, scale=2.0):
    result = matmul(x, x if y is None else y) * scale
    return result, {"twice": (result * 2, None)}


def by_device(x):
    assert jax.devices()[0].platform == jax.default_backend() == "tpu"
    return matmul(x, x, block=BLOCKS[KIND])


def masked(q, k, v):
    mask = splash_attention_mask.MultiHeadMask(
        [splash_attention_mask.CausalMask((q.shape[1], k.shape[1])) for _ in range(q.shape[0])]
    )
    sizes = splash_attention_kernel.BlockSizes(block_q=256, block_kv=256, block_kv_compute=256)
    return splash_attention_kernel.make_splash_mha_single_device(mask, block_sizes=sizes)(q, k, v)


def chosen(which, x):
    """Visits the blocks that an integer input names, as often as it says."""

    def kernel(which, x, out):
        def add(_, total):
            return total + x[...]

        out[...] = jax.lax.fori_loop(0, which[pl.program_id(0)], add, jnp.zeros_like(x[...]))

    spec = pltpu.PrefetchScalarGridSpec(
        num_scalar_prefetch=1,
        grid=which.shape,
        in_specs=[pl.BlockSpec((8, 128), lambda i, which: (i, 0))],
        out_specs=pl.BlockSpec((8, 128), lambda i, which: (i, 0)),
    )
    return pl.pallas_call(kernel, grid_spec=spec, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype))(which, x)
