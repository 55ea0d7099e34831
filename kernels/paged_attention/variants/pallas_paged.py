"""Paged decoding attention whose pages are fetched by the grid itself: each is an operand with an index of its own.

The table and the lengths are prefetched into scalar memory, and the index of the n-th page of a step is read from the
table there; the pipeline that Pallas makes of the grid fetches all pages of the next step during this one. Steps
behind a sequence's end name its last page again, which is then not copied a second time, and compute nothing. One copy
of a page brings `heads` key heads. Only a sequence's last step looks at what lies behind its end, to leave it out.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LANES = 128
MASKED = -1e30


@dataclasses.dataclass(frozen=True)
class Config:
    """pages: pages of one step. heads: key heads of one step; more make larger copies and fewer steps."""

    pages: int = 8
    heads: int = 8


def run(q, k, v, lengths, table, *, config: Config) -> tuple[jax.Array]:
    """Return o [B,H,D]; D must be a multiple of 128 and H / Hk of 8."""
    B, H, D = q.shape
    Hk, _, page, _ = k.shape
    if D % LANES or H // Hk % 8:
        raise ValueError(f"D={D} must be a multiple of the 128 lanes, H/Hk={H // Hk} of the 8 sublanes")
    heads, pages = math.gcd(config.heads, Hk), math.gcd(config.pages, table.shape[1])
    group = H // Hk
    fetched = [pl.BlockSpec((heads, 1, page, D), functools.partial(_page, n, pages, page)) for n in range(pages)]
    per_head = pl.BlockSpec((1, heads * group, D), lambda b, h, i, lengths, table: (b, h, 0))
    o = pl.pallas_call(
        functools.partial(_kernel, pages=pages, heads=heads),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(B, Hk // heads, table.shape[1] // pages),
            in_specs=[per_head, *fetched, *fetched],
            out_specs=per_head,
            scratch_shapes=[
                pltpu.VMEM((heads * group, LANES), jnp.float32),
                pltpu.VMEM((heads * group, LANES), jnp.float32),
                pltpu.VMEM((heads * group, D), jnp.float32),
            ],
        ),
        out_shape=jax.ShapeDtypeStruct(q.shape, q.dtype),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary")),
        name="paged_attention",
    )(lengths, table, q, *[k] * pages, *[v] * pages)
    return (o,)


def _page(n, pages, page, b, h, i, lengths, table):
    """Block index of the n-th page of step i: the sequence's last page when there are fewer."""
    last = jax.lax.div(lengths[b] - 1, page)
    return h, table[b, jnp.minimum(i * pages + n, last)], 0, 0


def _kernel(lengths_ref, table_ref, q_ref, *refs, pages: int, heads: int):
    del table_ref
    k_refs, v_refs = refs[:pages], refs[pages : 2 * pages]
    o_ref, top_ref, total_ref, sum_ref = refs[2 * pages :]
    page, D = k_refs[0].shape[2:]
    group = q_ref.shape[1] // heads
    first = pl.program_id(2) * pages * page
    left = lengths_ref[pl.program_id(0)] - first

    @pl.when(first == 0)
    def _():
        top_ref[...] = jnp.full_like(top_ref, MASKED)
        total_ref[...] = jnp.zeros_like(total_ref)
        sum_ref[...] = jnp.zeros_like(sum_ref)

    def step(is_last: bool):
        q, width = q_ref[0], pages * page
        logits = []
        for h in range(heads):
            keys = jnp.concatenate([ref[h, 0] for ref in k_refs], axis=0)
            mine = q[h * group : (h + 1) * group]
            logits.append(
                jax.lax.dot_general(mine, keys, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32)
            )
        scaled = jnp.concatenate(logits, axis=0) * (D**-0.5 * math.log2(math.e))
        if is_last:
            scaled = jnp.where(jax.lax.broadcasted_iota(jnp.int32, scaled.shape, 1) < left, scaled, MASKED)
        old = top_ref[...]
        top = jnp.maximum(old, scaled.max(axis=1, keepdims=True))
        weights = jnp.exp2(scaled - top[:, :1])
        shrink = jnp.exp2(old - top)
        top_ref[...] = top
        total_ref[...] = shrink * total_ref[...] + weights.sum(axis=1, keepdims=True)
        rounded = weights.astype(q.dtype)
        added = []
        for h in range(heads):
            values = jnp.concatenate([ref[h, 0] for ref in v_refs], axis=0)
            if is_last:  # a weight of zero does not undo what is not finite
                row = jax.lax.broadcasted_iota(jnp.int32, (width, D), 0)
                values = jnp.where(row < left, values, jnp.zeros_like(values))
            mine = rounded[h * group : (h + 1) * group]
            added.append(jnp.dot(mine, values, preferred_element_type=jnp.float32))
        sum_ref[...] = shrink[:, :1] * sum_ref[...] + jnp.concatenate(added, axis=0)

    @pl.when(left >= pages * page)
    def _():
        step(is_last=False)

    @pl.when((left > 0) & (left < pages * page))
    def _():
        step(is_last=True)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _():
        o_ref[0] = (sum_ref[...] / total_ref[:, :1]).astype(o_ref.dtype)
