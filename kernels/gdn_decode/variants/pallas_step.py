"""One decode step as one Pallas TPU kernel: every state is read once and written once, nothing else is large.

A grid step holds the states of a few sequences and heads. Each needs its key and its query as a column, one value a
sublane on all lanes: both products with the state are then a multiplication and a sum over sublanes, and the update
is a multiplication and an addition, all in float32 on the vector unit while the next states arrive.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of a grid step and how columns are made.

    sequences, heads: states in one grid step; more of them make larger copies and fewer steps.
    spread: what turns a row into a column. `mxu`: a diagonal matrix times ones, exact because keys and queries are
        bfloat16 and each sum has one term. `xlu`: a transpose and a broadcast over lanes.
    """

    sequences: int = 1
    heads: int = 16
    spread: str = "mxu"


def run(q, k, v, g, beta, state, *, config: Config) -> tuple[jax.Array, jax.Array]:
    """Return o [N,H,V] and the new state [N,H,K,V]; K and V must be multiples of 128, H of 8."""
    N, H, K, V = state.shape
    if K % 128 or V % 128 or H % 8:
        raise ValueError(f"K={K} and V={V} must be multiples of the 128 lanes, H={H} of the 8 sublanes")
    sequences, heads = math.gcd(config.sequences, N), 8 * math.gcd(config.heads // 8, H // 8)
    group = H // k.shape[1]
    q, k = (jnp.repeat(array, group, axis=1) for array in (q, k))

    def per_head(*width):
        return pl.BlockSpec((sequences, heads, *width), lambda n, h: (n, h, *(0 for _ in width)))

    gates = pl.BlockSpec(memory_space=pltpu.SMEM)  # a scalar per head: read where it is used, no lanes wasted
    o, new_state = pl.pallas_call(
        functools.partial(_kernel, spread=_SPREADS[config.spread]),
        grid=(N // sequences, H // heads),
        in_specs=[gates, gates, per_head(K), per_head(K), per_head(V), per_head(K, V)],
        out_specs=[per_head(V), per_head(K, V)],
        out_shape=[
            jax.ShapeDtypeStruct((N, H, V), v.dtype),
            jax.ShapeDtypeStruct((N, H, K, V), jnp.float32),
        ],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel")),
        name="gdn_decode",
    )(jnp.exp(g), beta, q, k, v, state)
    return o, new_state


def _kernel(decay_ref, beta_ref, q_ref, k_ref, v_ref, state_ref, o_ref, new_ref, *, spread):
    sequences, heads, K, V = state_ref.shape
    for n in range(sequences):
        row = pl.program_id(0) * sequences + n
        keys, queries = spread(k_ref[n], V), spread(q_ref[n], V)
        values = v_ref[n].astype(jnp.float32)
        outputs = []
        for h in range(heads):
            head = pl.program_id(1) * heads + h
            state = decay_ref[row, head] * state_ref[n, h]
            key = keys(h)
            wrong = values[h : h + 1] - (key * state).sum(0, keepdims=True)
            state = state + key * (beta_ref[row, head] * wrong)
            new_ref[n, h] = state
            outputs.append((queries(h) * state).sum(0, keepdims=True))
        o_ref[n] = (jnp.concatenate(outputs, axis=0) * K**-0.5).astype(o_ref.dtype)


def _spread_mxu(rows, width):
    """Column h of `rows` [heads,K] on all lanes, [K,width] in float32: diag(row) times ones, one exact term a sum."""
    K = rows.shape[1]
    shape = (K, K)
    diagonal = jax.lax.broadcasted_iota(jnp.int32, shape, 0) == jax.lax.broadcasted_iota(jnp.int32, shape, 1)
    ones = jnp.ones((K, width), jnp.bfloat16)
    wide = rows.astype(jnp.float32)

    def column(h):
        return jnp.dot(
            jnp.where(diagonal, wide[h : h + 1], 0.0).astype(jnp.bfloat16),
            ones,
            preferred_element_type=jnp.float32,
        )

    return column


def _spread_xlu(rows, width):
    """The same by transposing all rows at once and broadcasting one column at a time over the lanes."""
    columns = rows.astype(jnp.float32).T

    def column(h):
        return jnp.broadcast_to(columns[:, h : h + 1], (columns.shape[0], width))

    return column


_SPREADS = {"mxu": _spread_mxu, "xlu": _spread_xlu}
