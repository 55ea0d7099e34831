"""Causal attention as one Pallas TPU kernel: all keys and values of a head wait in VMEM while its queries pass.

K and V of one head are 4 MiB at 8,192 tokens, so a grid step is a whole block of queries and the walk over keys is a
loop inside it: no step of the grid is spent on blocks in the future, the running sums stay where they are, and only
the blocks on the diagonal are masked. Scores are kept in units of log2, so that the scale of the logits and the
change of base are one multiplication.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LANES = 128
MASKED = -1e30  # finite: a whole masked row gives weights of one, which the row's true maximum scales to zero


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of the walk.

    block_q: queries in a grid step. block_kv: keys in a step of the loop; fewer waste less on the diagonal, more make
    larger products. unroll: steps of the loop written side by side, so that one's products hide another's softmax.
    """

    block_q: int = 512
    block_kv: int = 512
    unroll: int = 2


def run(q, k, v, *, config: Config) -> tuple[jax.Array]:
    """Return o [B,H,S,D]; S and D must be multiples of 128."""
    B, H, S, D = q.shape
    if S % LANES or D % LANES:
        raise ValueError(f"S={S} and D={D} must be multiples of the 128 lanes")
    group = H // k.shape[1]
    block_q = math.gcd(config.block_q, S)
    block_kv = math.gcd(config.block_kv, block_q)
    per_query = pl.BlockSpec((1, 1, block_q, D), lambda b, h, i: (b, h, i, 0))
    per_head = pl.BlockSpec((1, 1, S, D), lambda b, h, i: (b, jax.lax.div(h, group), 0, 0))
    o = pl.pallas_call(
        functools.partial(_kernel, block_kv=block_kv, unroll=config.unroll),
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
            dimension_semantics=("parallel", "parallel", "arbitrary"), vmem_limit_bytes=64 * 2**20
        ),
        name="flash_attention",
    )(q, k, v)
    return (o,)


def _kernel(q_ref, k_ref, v_ref, o_ref, top_ref, total_ref, sum_ref, *, block_kv: int, unroll: int):
    block_q, D = q_ref.shape[2:]
    i = pl.program_id(2)
    top_ref[...] = jnp.full_like(top_ref, MASKED)
    total_ref[...] = jnp.zeros_like(total_ref)
    sum_ref[...] = jnp.zeros_like(sum_ref)

    def scores(first):
        keys = k_ref[0, 0, pl.ds(first, block_kv)]
        products = jax.lax.dot_general(
            q_ref[0, 0], keys, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32
        )
        return products * (D**-0.5 * math.log2(math.e))

    def add(first, logits):
        """One block of keys into the running maximum, total and sum, by the online softmax."""
        old = top_ref[...]
        top = jnp.maximum(old, _fold(logits, jnp.maximum).max(axis=1, keepdims=True))
        weights = jnp.exp2(logits - _widen(top, block_kv))
        shrink = jnp.exp2(old - top)
        top_ref[...] = top
        total_ref[...] = shrink * total_ref[...] + _fold(weights, jnp.add)
        values = v_ref[0, 0, pl.ds(first, block_kv)]
        sum_ref[...] = _widen(shrink, D) * sum_ref[...] + jnp.dot(
            weights.astype(values.dtype), values, preferred_element_type=jnp.float32
        )

    def step(first, count):
        waiting = [(first + n * block_kv, scores(first + n * block_kv)) for n in range(count)]
        for at, logits in waiting:
            add(at, logits)

    blocks = i * (block_q // block_kv)  # wholly in the past: no mask

    def walk(n, carry):
        step(pl.multiple_of(n * unroll * block_kv, block_kv), unroll)
        return carry

    def walk_one(n, carry):
        step(pl.multiple_of(n * block_kv, block_kv), 1)
        return carry

    rounds = jax.lax.div(blocks, unroll)
    jax.lax.fori_loop(0, rounds, walk, 0)
    if block_q // block_kv % unroll:
        jax.lax.fori_loop(rounds * unroll, blocks, walk_one, 0)

    row = jax.lax.broadcasted_iota(jnp.int32, (block_q, block_kv), 0)
    column = jax.lax.broadcasted_iota(jnp.int32, (block_q, block_kv), 1)
    for n in range(block_q // block_kv):
        first = pl.multiple_of(i * block_q + n * block_kv, block_kv)
        add(first, jnp.where(row >= column + n * block_kv, scores(first), MASKED))

    total = total_ref[...].sum(axis=1, keepdims=True)
    o_ref[0, 0] = (sum_ref[...] / total).astype(o_ref.dtype)


def _fold(x: jax.Array, combine) -> jax.Array:
    """Combine the columns of x down to 128 lanes, without a reduction across lanes."""
    return functools.reduce(combine, [x[:, at : at + LANES] for at in range(0, x.shape[1], LANES)])


def _widen(x: jax.Array, width: int) -> jax.Array:
    """Repeat 128 equal lanes to `width` columns."""
    return jnp.concatenate([x] * (width // LANES), axis=1)
