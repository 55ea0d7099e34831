"""B is turned once for each block of its rows and waits in VMEM as its transpose while all rows of A pass.

Where the matrix unit does not take rows as they lie, the compiler turns a block again for every tile of A that meets
it. K is not cut, so a block of B is met by all rows of A in a row, and no sum is stored between steps.
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
    """block_m: rows of A in a step. block_n: rows of B that stay. block_k: columns of B that are turned at a time."""

    block_m: int = 512
    block_n: int = 1024
    block_k: int = 1024


def run(a, b, *, config: Config) -> tuple[jax.Array]:
    """Return a [M,K] times b [N,K] transposed; M, N and K must be multiples of 128."""
    (M, K), N = a.shape, b.shape[0]
    if M % LANES or N % LANES or K % LANES:
        raise ValueError(f"M={M}, N={N}, K={K} must be multiples of the 128 lanes")
    block_m, block_n, block_k = (
        math.gcd(block, size) for block, size in ((config.block_m, M), (config.block_n, N), (config.block_k, K))
    )

    def kernel(a_ref, b_ref, product_ref, turned_ref):
        @pl.when(pl.program_id(1) == 0)
        def _():
            for first in range(0, K, block_k):
                turned_ref[first : first + block_k] = b_ref[:, first : first + block_k].T

        product = jnp.dot(a_ref[...], turned_ref[...], preferred_element_type=jnp.float32)
        product_ref[...] = product.astype(product_ref.dtype)

    product = pl.pallas_call(
        kernel,
        # M innermost and in order: a turned block serves all rows of A.
        grid=(N // block_n, M // block_m),
        in_specs=[
            pl.BlockSpec((block_m, K), lambda n, m: (m, 0)),
            pl.BlockSpec((block_n, K), lambda n, m: (n, 0)),
        ],
        out_specs=pl.BlockSpec((block_m, block_n), lambda n, m: (m, n)),
        out_shape=jax.ShapeDtypeStruct((M, N), a.dtype),
        scratch_shapes=[pltpu.VMEM((K, block_n), b.dtype)],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary"), vmem_limit_bytes=60 * 2**20
        ),
        name="matmul_transposed",
    )(a, b)
    return (product,)
