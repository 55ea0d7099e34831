"""The grouped matmul that ships with jax, megablox: a peer, measured against, not climbed."""

import dataclasses
import math

import jax
from jax.experimental.pallas.ops.tpu.megablox import gmm


@dataclasses.dataclass(frozen=True)
class Config:
    """block_m, block_k, block_n: its tiling; its own default of 128 each waits for copies most of the time."""

    block_m: int = 512
    block_k: int = 1024
    block_n: int = 512


def run(a, b, sizes, *, config: Config) -> tuple[jax.Array]:
    """Return [M,N]; M must be a multiple of 128."""
    (M, K), N = a.shape, b.shape[2]
    tiling = (math.gcd(config.block_m, M), math.gcd(config.block_k, K), math.gcd(config.block_n, N))
    return (gmm(a, b, sizes, a.dtype, tiling),)
