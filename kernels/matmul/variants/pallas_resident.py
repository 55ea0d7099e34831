"""A matmul that reads both operands once: all of B comes to stay in VMEM while the first rows of A are multiplied.

A step of the first rows waits for its own columns of B and begins the copy of the next ones: the first product starts
after one block of B, and copies that were begun all together would all arrive late. Later rows find B complete, and
the only copies left are those of A and of the product, far below what the memory can do. For chips with one core,
whose vector memory holds B.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LANES = 128
AHEAD = 1  # blocks of B that are on their way while one is multiplied


@dataclasses.dataclass(frozen=True)
class Config:
    """block_m: rows of A in a step. block_n: columns of B that arrive together and are multiplied in a step."""

    block_m: int = 512
    block_n: int = 512


def run(a, b, *, config: Config) -> tuple[jax.Array]:
    """Return a [M,K] times b [K,N]; M, N and K must be multiples of 128, and B must fit into vector memory."""
    (M, K), N = a.shape, b.shape[1]
    if M % LANES or N % LANES or K % LANES:
        raise ValueError(f"M={M}, N={N}, K={K} must be multiples of the 128 lanes")
    block_m, block_n = math.gcd(config.block_m, M), math.gcd(config.block_n, N)
    columns = N // block_n
    # B, two blocks of A and of the product, and as much again of the product in float32 and in spilled registers
    vmem_bytes = 2 * K * (N + 2 * block_m) + 20 * block_m * block_n + (4 << 20)
    product = pl.pallas_call(
        functools.partial(_kernel, columns=columns, block_n=block_n),
        grid=(M // block_m, columns),
        in_specs=[pl.BlockSpec((block_m, K), lambda m, n: (m, 0)), pl.BlockSpec(memory_space=pl.ANY)],
        out_specs=pl.BlockSpec((block_m, block_n), lambda m, n: (m, n)),
        out_shape=jax.ShapeDtypeStruct((M, N), a.dtype),
        scratch_shapes=[pltpu.VMEM((columns, K, block_n), b.dtype), pltpu.SemaphoreType.DMA((columns,))],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("arbitrary", "arbitrary"), vmem_limit_bytes=vmem_bytes
        ),
        name="matmul_resident",
    )(a, b)
    return (product,)


def _kernel(a_ref, b_hbm, product_ref, b_ref, arrived, *, columns: int, block_n: int):
    m, n = pl.program_id(0), pl.program_id(1)

    def copy(i):
        return pltpu.make_async_copy(b_hbm.at[:, pl.ds(i * block_n, block_n)], b_ref.at[i], arrived.at[i])

    @pl.when((m == 0) & (n == 0))
    def _():
        for i in range(min(AHEAD, columns)):
            copy(i).start()

    @pl.when(m == 0)
    def _():
        copy(n).wait()

    @pl.when((m == 0) & (n + AHEAD < columns))
    def _():
        copy(n + AHEAD).start()

    product = jnp.dot(a_ref[...], b_ref[n], preferred_element_type=jnp.float32)
    product_ref[...] = product.astype(product_ref.dtype)
