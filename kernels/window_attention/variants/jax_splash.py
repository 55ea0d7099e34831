"""Windowed attention by splash attention, the sparse kernel that ships with jax: a peer, measured against, not climbed.

Its own default blocks of 128 waste most of a chip, so they are tunables here. It leaves the scale of the logits to
its caller; only a power of two can go into bfloat16 queries without rounding them a second time, and for D = 128 the
factor that is left (the square root of two, or one) rounds the queries.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

WINDOW = 1024


@dataclasses.dataclass(frozen=True)
class Config:
    """block_q, block_kv: queries and keys of a grid step. block_kv_compute: keys of one product inside it."""

    block_q: int = 1024
    block_kv: int = 512
    block_kv_compute: int = 512


def run(q, k, v, *, config: Config) -> tuple[jax.Array]:
    """Return o [B,H,S,D] in q's dtype."""
    B, H, S, D = q.shape
    Hk = k.shape[1]
    block_kv = math.gcd(config.block_kv, S)
    sizes = splash.BlockSizes(
        block_q=math.gcd(config.block_q, S),
        block_kv=block_kv,
        block_kv_compute=math.gcd(config.block_kv_compute, block_kv),
    )
    scaled = (q.astype(jnp.float32) * D**-0.5).astype(q.dtype)
    if Hk == H:
        attend = _made(splash.make_splash_mha_single_device, H, S, sizes)
        return (jax.vmap(attend)(scaled, k, v),)
    attend = jax.vmap(jax.vmap(_made(splash.make_splash_mqa_single_device, H // Hk, S, sizes)))
    return (attend(scaled.reshape(B, Hk, H // Hk, S, D), k, v).reshape(B, H, S, D),)


def _made(make, heads: int, S: int, sizes: splash.BlockSizes):
    mask = masks.MultiHeadMask([masks.LocalMask((S, S), (WINDOW - 1, 0), 0)] * heads)
    # Lists of blocks as 32-bit numbers: a cost model can read them in the program, bytes it cannot.
    return make(mask, block_sizes=sizes, downcast_smem_data=False)
