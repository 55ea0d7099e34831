"""A tiled matmul: one output tile stays in VMEM while blocks of A and B stream past it.

Pallas copies the next blocks while the MXU works on the current ones. Each step moves block_k (block_m + block_n)
elements and does block_m block_n block_k multiplications, so larger output tiles raise the work per byte, until
two buffers of everything no longer fit in VMEM.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    """Tile sizes in elements; a side that does not divide the array's shrinks to their common divisor."""

    block_m: int = 256
    block_n: int = 256
    block_k: int = 256


def run(a, b, *, config: Config) -> tuple[jax.Array]:
    """Return a [M,K] times b [K,N]; M, N and K must be multiples of 128."""
    (M, K), N = a.shape, b.shape[1]
    if M % 128 or N % 128 or K % 128:
        raise ValueError(f"M={M}, N={N}, K={K} must be multiples of the 128 lanes")
    block_m, block_n = math.gcd(config.block_m, M), math.gcd(config.block_n, N)
    block_k = math.gcd(config.block_k, K)
    product = pl.pallas_call(
        _kernel,
        # K innermost and in order: the accumulator belongs to one output tile at a time.
        grid=(M // block_m, N // block_n, K // block_k),
        in_specs=[
            pl.BlockSpec((block_m, block_k), lambda m, n, k: (m, k)),
            pl.BlockSpec((block_k, block_n), lambda m, n, k: (k, n)),
        ],
        out_specs=pl.BlockSpec((block_m, block_n), lambda m, n, k: (m, n)),
        out_shape=jax.ShapeDtypeStruct((M, N), a.dtype),
        scratch_shapes=[pltpu.VMEM((block_m, block_n), jnp.float32)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary")),
        name="matmul_tiled",
    )(a, b)
    return (product,)


def _kernel(a_ref, b_ref, product_ref, sum_ref):
    step = pl.program_id(2)

    @pl.when(step == 0)
    def _():
        sum_ref[...] = jnp.zeros_like(sum_ref)

    # The MXU multiplies bfloat16 and adds in float32; anything narrower would round at every block.
    sum_ref[...] += jnp.dot(a_ref[...], b_ref[...], preferred_element_type=jnp.float32)

    @pl.when(step == pl.num_programs(2) - 1)
    def _():
        product_ref[...] = sum_ref[...].astype(product_ref.dtype)
