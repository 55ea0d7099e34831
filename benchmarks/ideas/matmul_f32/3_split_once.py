"""B is split once for each block of columns and its halves stay in VMEM while all rows of A pass."""

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

    block_m: int = 256
    block_n: int = 512
    block_k: int = 1024  # not used: K is whole


def run(a, b, *, config: Config) -> tuple[jax.Array]:
    """Return a [M,K] times b [K,N] in float32; M, N and K must be multiples of 128."""
    (M, K), N = a.shape, b.shape[1]
    if M % LANES or N % LANES or K % LANES:
        raise ValueError(f"M={M}, N={N}, K={K} must be multiples of the 128 lanes")
    block_m, block_n = math.gcd(config.block_m, M), math.gcd(config.block_n, N)
    product = pl.pallas_call(
        _kernel,
        # M innermost and in order: the halves of a block of columns of B serve all rows of A.
        grid=(N // block_n, M // block_m),
        in_specs=[
            pl.BlockSpec((block_m, K), lambda n, m: (m, 0)),
            pl.BlockSpec((K, block_n), lambda n, m: (0, n)),
        ],
        out_specs=pl.BlockSpec((block_m, block_n), lambda n, m: (m, n)),
        out_shape=jax.ShapeDtypeStruct((M, N), a.dtype),
        scratch_shapes=[pltpu.VMEM((K, block_n), jnp.bfloat16)] * 2,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary"), vmem_limit_bytes=60 * 2**20
        ),
        name="matmul_f32",
    )(a, b)
    return (product,)


def _kernel(a_ref, b_ref, product_ref, b_high_ref, b_low_ref):
    @pl.when(pl.program_id(1) == 0)
    def _():
        b_high_ref[...], b_low_ref[...] = _split(b_ref[...])

    a_high, a_low = _split(a_ref[...])
    b_high, b_low = b_high_ref[...], b_low_ref[...]
    # the small terms first: they are lost in a large sum that is not finished
    small = _dot(a_low, b_high) + _dot(a_high, b_low)
    product_ref[...] = small + _dot(a_high, b_high)


def _split(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    high = x.astype(jnp.bfloat16)
    return high, (x - high.astype(jnp.float32)).astype(jnp.bfloat16)


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.dot(a, b, preferred_element_type=jnp.float32)
