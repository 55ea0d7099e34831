"""A grouped matmul that visits every pair of a row tile and a group that meet in it, and nothing else.

A tile that holds the border of two groups is visited once for each and writes only the rows of that group. There are
at most M / block_m + G - 1 such pairs; which ones there are depends on the sizes, so a short list of visits is worked
out first and prefetched into scalar memory, where the block indices are read from it. Visits are in the order of the
rows, so a group's block of b stays in VMEM from tile to tile; K is not cut, so no partial sum is ever stored.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LANES = 128


@dataclasses.dataclass(frozen=True)
class Config:
    """block_m: rows of a tile, fewer waste less at borders. block_n: columns, more read the rows less often."""

    block_m: int = 256
    block_n: int = 512


def run(a, b, sizes, *, config: Config) -> tuple[jax.Array]:
    """Return [M,N]; M, K and N must be multiples of 128."""
    (M, K), (G, _, N) = a.shape, b.shape
    if M % LANES or K % LANES or N % LANES:
        raise ValueError(f"M={M}, K={K}, N={N} must be multiples of the 128 lanes")
    block_m, block_n = math.gcd(config.block_m, M), math.gcd(config.block_n, N)
    product = pl.pallas_call(
        functools.partial(_kernel, block_m=block_m),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=4,
            grid=(N // block_n, M // block_m + G - 1),
            in_specs=[
                pl.BlockSpec((block_m, K), lambda n, s, tile, group, first, last: (tile[s], 0)),
                pl.BlockSpec((1, K, block_n), lambda n, s, tile, group, first, last: (group[s], 0, n)),
            ],
            out_specs=pl.BlockSpec((block_m, block_n), lambda n, s, tile, group, first, last: (tile[s], n)),
        ),
        out_shape=jax.ShapeDtypeStruct((M, N), a.dtype),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary")),
        name="matmul_grouped",
    )(*_visits(sizes, M, block_m), a, b)
    return (product,)


def _visits(sizes: jax.Array, M: int, block_m: int) -> tuple[jax.Array, ...]:
    """Tile, group, first row and row after the last of every visit, each [M / block_m + G - 1].

    Visits that are not needed repeat the last one with no rows, so that nothing is copied for them.
    """
    G = sizes.shape[0]
    ends = jnp.cumsum(sizes)
    starts = ends - sizes
    tiles = jnp.where(sizes > 0, (ends - 1) // block_m - starts // block_m + 1, 0)
    done = jnp.cumsum(tiles)
    number = jnp.arange(M // block_m + G - 1, dtype=jnp.int32)
    visit = jnp.minimum(number, done[-1] - 1)
    group = (done[None, :] <= visit[:, None]).sum(axis=1, dtype=jnp.int32)
    # picked by a sum over a mask: gathers of scalars are slow on this machine, and G is small
    chosen = group[:, None] == jnp.arange(G, dtype=jnp.int32)[None, :]

    def of_group(values: jax.Array) -> jax.Array:
        return jnp.where(chosen, values[None, :], 0).sum(axis=1, dtype=jnp.int32)

    tile = of_group(starts // block_m) + visit - of_group(done - tiles)
    last = jnp.where(number < done[-1], of_group(ends), 0)
    return tile, group, of_group(starts), last


def _kernel(tile_ref, group_ref, first_ref, last_ref, a_ref, b_ref, product_ref, *, block_m: int):
    del group_ref
    visit = pl.program_id(1)
    above = tile_ref[visit] * block_m
    first, last = first_ref[visit] - above, last_ref[visit] - above

    def product():
        return jnp.dot(a_ref[...], b_ref[0], preferred_element_type=jnp.float32).astype(product_ref.dtype)

    is_whole = (first <= 0) & (last >= block_m)

    @pl.when(is_whole)
    def _():
        product_ref[...] = product()

    @pl.when(~is_whole & (last > 0))
    def _():
        row = jax.lax.broadcasted_iota(jnp.int32, product_ref.shape, 0)
        mine = (row >= first) & (row < last)
        product_ref[...] = jnp.where(mine, product(), product_ref[...])
