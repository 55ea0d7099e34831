"""K in one step: no sum is stored and read again between steps.

Blocks are as deep as the arrays, so two buffers of both take 32 MiB of VMEM and their halves as much again.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LANES = 128


@dataclasses.dataclass(frozen=True)
class Config:
    """Tile sizes in elements; a side that does not divide the array's shrinks to their common divisor."""

    block_m: int = 512
    block_n: int = 512
    block_k: int = 4096


def run(a, b, *, config: Config) -> tuple[jax.Array]:
    """Return a [M,K] times b [K,N] in float32; M, N and K must be multiples of 128."""
    (M, K), N = a.shape, b.shape[1]
    if M % LANES or N % LANES or K % LANES:
        raise ValueError(f"M={M}, N={N}, K={K} must be multiples of the 128 lanes")
    block_m, block_n, block_k = (
        math.gcd(block, size) for block, size in ((config.block_m, M), (config.block_n, N), (config.block_k, K))
    )
    product = pl.pallas_call(
        _kernel,
        # K innermost and in order: the sum belongs to one tile of the product at a time.
        grid=(M // block_m, N // block_n, K // block_k),
        in_specs=[
            pl.BlockSpec((block_m, block_k), lambda m, n, k: (m, k)),
            pl.BlockSpec((block_k, block_n), lambda m, n, k: (k, n)),
        ],
        out_specs=pl.BlockSpec((block_m, block_n), lambda m, n, k: (m, n)),
        out_shape=jax.ShapeDtypeStruct((M, N), a.dtype),
        scratch_shapes=[pltpu.VMEM((block_m, block_n), jnp.float32)],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"), vmem_limit_bytes=60 * 2**20
        ),
        name="matmul_f32",
    )(a, b)
    return (product,)


def _kernel(a_ref, b_ref, product_ref, sum_ref):
    step = pl.program_id(2)

    @pl.when(step == 0)
    def _():
        sum_ref[...] = jnp.zeros_like(sum_ref)

    (a_high, a_low), (b_high, b_low) = _split(a_ref[...]), _split(b_ref[...])
    # the small terms first: they are lost in a large sum that is not finished
    small = _dot(a_low, b_high) + _dot(a_high, b_low)
    sum_ref[...] += small + _dot(a_high, b_high)

    @pl.when(step == pl.num_programs(2) - 1)
    def _():
        product_ref[...] = sum_ref[...]


def _split(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    high = x.astype(jnp.bfloat16)
    return high, (x - high.astype(jnp.float32)).astype(jnp.bfloat16)


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.dot(a, b, preferred_element_type=jnp.float32)
