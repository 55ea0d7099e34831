"""Windowed attention as one Pallas TPU kernel: how far a block of keys lies behind its queries is known in advance.

K and V of one head wait in VMEM. A block of queries meets the same few blocks of keys wherever it stands, WINDOW back
to its own diagonal, so they are written out side by side: blocks wholly inside the window have no mask, the others a
constant one, and only the first queries of a sequence ask whether a block lies before its beginning. Scores are kept
in units of log2.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LANES, WINDOW = 128, 1024
MASKED = -1e30  # finite: a whole masked row gives weights of one, which the row's true maximum scales to zero


@dataclasses.dataclass(frozen=True)
class Config:
    """block_q: queries in a grid step. block_kv: keys of one product; fewer waste less at both ends of the window."""

    block_q: int = 512
    block_kv: int = 512


def run(q, k, v, *, config: Config) -> tuple[jax.Array]:
    """Return o [B,H,S,D]; S and D must be multiples of 128."""
    B, H, S, D = q.shape
    if S % LANES or D % LANES:
        raise ValueError(f"S={S} and D={D} must be multiples of the 128 lanes")
    group = H // k.shape[1]
    block_q = math.gcd(config.block_q, S)
    per_query = pl.BlockSpec((1, 1, block_q, D), lambda b, h, i: (b, h, i, 0))
    per_head = pl.BlockSpec((1, 1, S, D), lambda b, h, i: (b, jax.lax.div(h, group), 0, 0))
    o = pl.pallas_call(
        functools.partial(_kernel, block_kv=math.gcd(config.block_kv, block_q)),
        grid=(B, H, S // block_q),
        in_specs=[per_query, per_head, per_head],
        out_specs=per_query,
        out_shape=jax.ShapeDtypeStruct(q.shape, q.dtype),
        scratch_shapes=[
            pltpu.VMEM((block_q, LANES), jnp.float32),
            pltpu.VMEM((block_q, LANES), jnp.float32),
            pltpu.VMEM((block_q, D), jnp.float32),
        ],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"), vmem_limit_bytes=60 * 2**20
        ),
        name="window_attention",
    )(q, k, v)
    return (o,)


def _kernel(q_ref, k_ref, v_ref, o_ref, top_ref, total_ref, sum_ref, *, block_kv: int):
    block_q, D = q_ref.shape[2:]
    start = pl.program_id(2) * block_q
    top_ref[...] = jnp.full_like(top_ref, MASKED)
    total_ref[...] = jnp.zeros_like(total_ref)
    sum_ref[...] = jnp.zeros_like(sum_ref)

    def add(first, mask):
        """One block of keys into the running maximum, total and sum, by the online softmax."""
        keys, values = (ref[0, 0, pl.ds(first, block_kv)] for ref in (k_ref, v_ref))
        logits = jax.lax.dot_general(
            q_ref[0, 0], keys, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32
        )
        logits *= D**-0.5 * math.log2(math.e)
        if mask is not None:
            logits = jnp.where(mask, logits, MASKED)
        old = top_ref[...]
        top = jnp.maximum(old, _fold(logits, jnp.maximum).max(axis=1, keepdims=True))
        weights = jnp.exp2(logits - _widen(top, block_kv))
        shrink = jnp.exp2(old - top)
        top_ref[...] = top
        total_ref[...] = shrink * total_ref[...] + _fold(weights, jnp.add)
        sum_ref[...] = _widen(shrink, D) * sum_ref[...] + jnp.dot(
            weights.astype(values.dtype), values, preferred_element_type=jnp.float32
        )

    row = jax.lax.broadcasted_iota(jnp.int32, (block_q, block_kv), 0)
    column = jax.lax.broadcasted_iota(jnp.int32, (block_q, block_kv), 1)
    farthest = -math.ceil((WINDOW - 1) / block_kv) * block_kv
    # The diagonal first: every row sees a key there, so masked rows of later blocks meet a true maximum.
    for offset in range(block_q - block_kv, farthest - 1, -block_kv):
        back = row - column - offset  # how many keys back
        nearest, most = -(block_kv - 1) - offset, block_q - 1 - offset
        mask = None if nearest >= 0 and most < WINDOW else (back >= 0) & (back < WINDOW)
        if offset >= 0:
            add(pl.multiple_of(start + offset, block_kv), mask)
        else:

            @pl.when(start >= -offset)
            def _(offset=offset, mask=mask):
                add(pl.multiple_of(start + offset, block_kv), mask)

    total = total_ref[...].sum(axis=1, keepdims=True)
    o_ref[0, 0] = (sum_ref[...] / total).astype(o_ref.dtype)


def _fold(x: jax.Array, combine) -> jax.Array:
    """Combine the columns of x down to 128 lanes, without a reduction across lanes."""
    return functools.reduce(combine, [x[:, at : at + LANES] for at in range(0, x.shape[1], LANES)])


def _widen(x: jax.Array, width: int) -> jax.Array:
    """Repeat 128 equal lanes to `width` columns."""
    return jnp.concatenate([x] * (width // LANES), axis=1)
