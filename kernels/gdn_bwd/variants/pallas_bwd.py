"""Gated DeltaNet backward as two Pallas TPU kernels: one sweep forward for what is needed, one back for the rest.

The sweep forward computes each chunk's triangular inverse T and the state S at its start, and stores both: T in
float32, because three-pass products need it, S in bfloat16, because it only enters one-pass products. The sweep back
walks the chunks in reverse with the state's gradient dS' in VMEM. With G the running sum of g in a chunk, D_ij =
exp(G_i - G_j) for i >= j, c = K^(-1/2), P = D * Q K^T and R = beta (V - e^G K S):

    N  = T R                               dN  = c P^T dO + (e^(G_C - G) K) dS'
    dR = T^T dN                            A   = -strict_lower(D * dR N^T)        E = c tril(D * dO N^T)
    dQ = c e^G dO S^T + E K                dKb = -e^G dR S^T + A K                (with respect to beta k)
    dK = E^T Q + (beta A)^T K + beta dKb + e^(G_C - G) N dS'^T
    dV = beta dR                           dbeta = sum_V dR V + sum_K dKb K
    dS = e^(G_C) dS' + Q^T (c e^G dO) - K^T (beta e^G dR)
    dG = sum_K (Q dQ - K dK + 2 beta K dKb), and at the chunk's end also e^(G_C) <dS', S> + sum e^(G_C - G) K (N dS'^T)

dg is the sum of dG from a token to its chunk's end. The inverse has no derivative of its own in there, and dG needs no
sums over rows or columns of C by C matrices. Products inside a chunk keep about 16 bits, those with the state 8.
"""

import dataclasses
import functools
import math
from collections.abc import Generator

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

MASKED = -1e30  # exponent of a masked entry: exp gives exactly 0, and the mask comes before exp, never after


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes that shape the programs; each changes what the compiler schedules.

    chunk: tokens solved at once. heads_per_block: heads in one grid step. interleave: heads whose instructions are
    written side by side, so that one's products hide another's. base: rows of the inverse solved by substitution on
    the vector unit before blocks are doubled on the matrix unit.
    """

    chunk: int = 128
    heads_per_block: int = 4
    interleave: int = 4
    base: int = 16


def run(q, k, v, g, beta, do, *, config: Config) -> tuple[jax.Array, ...]:
    """Return dq, dk [B,T,H,K], dv [B,T,H,V] in bfloat16, dg, dbeta [B,T,H] in float32; K, V multiples of 128."""
    B, T, H, K = q.shape
    V = v.shape[-1]
    if K % 128 or V % 128:
        raise ValueError(f"K={K} and V={V} must be multiples of the 128 lanes")
    C, heads = config.chunk, math.gcd(config.heads_per_block, H)
    chunks = pl.cdiv(T, C)
    # beta = 0, g = 0, k = v = do = 0 changes no state and no gradient, so a ragged tail needs no branch.
    q, k, v, g, beta, do = (_pad_time(array, chunks * C) for array in (q, k, v, g, beta, do))
    q, k, v, do = (array.reshape(B, chunks * C, -1) for array in (q, k, v, do))
    # T on lanes: one [.., chunk] row per head instead of 128-fold padding of a column.
    g, beta = (x.reshape(B, chunks, C, H // heads, heads).transpose(0, 1, 3, 4, 2) for x in (g, beta))
    common = {
        "grid": (B, H // heads, chunks),
        "scratch_shapes": [pltpu.VMEM((heads, K, V), jnp.float32)],
        "compiler_params": pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary")),
    }
    see = _blocks(lambda t: t, C, heads, K, V)
    inverses, states = pl.pallas_call(
        functools.partial(_sweep_forward, config=config),
        in_specs=[see[name] for name in ("keys", "values", "gates", "gates")],
        out_specs=[see["inverse"], see["state"]],
        out_shape=[
            jax.ShapeDtypeStruct((B, chunks, H, C, C), jnp.float32),
            jax.ShapeDtypeStruct((B, chunks, H, K, V), jnp.bfloat16),
        ],
        name="gdn_bwd_states",
        **common,
    )(k, v, g, beta)
    see = _blocks(lambda t: chunks - 1 - t, C, heads, K, V)
    columns = jax.ShapeDtypeStruct((B, chunks, H // heads, C, heads), jnp.float32)
    seen = ("keys", "keys", "values", "gates", "gates", "values", "inverse", "state")
    dq, dk, dv, dg, dbeta = pl.pallas_call(
        functools.partial(_sweep_back, config=config),
        in_specs=[see[name] for name in seen],
        out_specs=[see[name] for name in ("keys", "keys", "values", "columns", "columns")],
        out_shape=[*(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (q, k, v)), columns, columns],
        name="gdn_bwd",
        **common,
    )(q, k, v, g, beta, do, inverses, states)
    dq, dk, dv = (x.reshape(B, chunks * C, H, -1)[:, :T] for x in (dq, dk, dv))
    dg, dbeta = (x.transpose(0, 1, 3, 2, 4).reshape(B, chunks * C, H)[:, :T] for x in (dg, dbeta))
    return dq, dk, dv, dg, dbeta


def _blocks(at, C: int, heads: int, K: int, V: int) -> dict[str, pl.BlockSpec]:
    """What one grid step sees of each kind of array; `at` gives the chunk of a step."""

    def per_chunk(*shape):
        return pl.BlockSpec((1, 1, *shape), lambda b, h, t: (b, at(t), h, *(0 for _ in shape[1:])))

    return {
        "keys": pl.BlockSpec((1, C, heads * K), lambda b, h, t: (b, at(t), h)),
        "values": pl.BlockSpec((1, C, heads * V), lambda b, h, t: (b, at(t), h)),
        "gates": per_chunk(1, heads, C),
        "columns": per_chunk(1, C, heads),
        "inverse": per_chunk(heads, C, C),
        "state": per_chunk(heads, K, V),
    }


def _pad_time(array: jax.Array, padded_T: int) -> jax.Array:
    missing = padded_T - array.shape[1]
    if missing == 0:
        return array
    return jnp.pad(array, [(0, 0), (0, missing)] + [(0, 0)] * (array.ndim - 2))


def _sweep_forward(k_ref, v_ref, g_ref, beta_ref, inverse_ref, start_ref, state_ref, *, config: Config):
    """One chunk of all heads of a step: its inverses, the states at its start, and on to the next."""
    heads, K, V = state_ref.shape

    @pl.when(pl.program_id(2) == 0)
    def _():
        state_ref[...] = jnp.zeros_like(state_ref)

    cum_rows, columns = _gates(g_ref[0, 0, 0], beta_ref[0, 0, 0])

    def advance(h):
        k, v = k_ref[0, :, h * K : (h + 1) * K], v_ref[0, :, h * V : (h + 1) * V]
        gates = _Gates.of(cum_rows, columns, h, heads)
        state = state_ref[h]
        rounded = state.astype(jnp.bfloat16)
        start_ref[0, 0, h] = rounded
        scores, from_state = _dot_t(k, k), _dot(k, rounded)
        yield
        inverse = yield from inverse_phases(
            jnp.where(_lower(k), scores * gates.decay() * gates.beta, 0.0), config.base
        )
        inverse_ref[0, 0, h] = inverse
        right = gates.beta * (v.astype(jnp.float32) - gates.gamma * from_state)
        update = _dot3(_split(inverse), _split(right))
        yield
        state_ref[h] = gates.total * state + _t_dot(k, (gates.tail * update).astype(jnp.bfloat16))

    _by_groups(advance, heads, config.interleave)


def _sweep_back(*refs, config: Config):
    """One chunk of all heads of a step, the last chunk first: its gradients, and the one of the state before it."""
    q_ref, k_ref, v_ref, g_ref, beta_ref, do_ref, inverse_ref, start_ref = refs[:8]
    dq_ref, dk_ref, dv_ref, dg_ref, dbeta_ref, d_state_ref = refs[8:]
    heads, K, V = d_state_ref.shape

    @pl.when(pl.program_id(2) == 0)
    def _():
        d_state_ref[...] = jnp.zeros_like(d_state_ref)

    cum_rows, columns = _gates(g_ref[0, 0, 0], beta_ref[0, 0, 0])

    def differentiate(h):
        keys, values = slice(h * K, (h + 1) * K), slice(h * V, (h + 1) * V)
        tokens = q_ref[0, :, keys], k_ref[0, :, keys], v_ref[0, :, values], do_ref[0, :, values]
        gates = _Gates.of(cum_rows, columns, h, heads)
        gradients = yield from _differentiate(
            tokens, gates, inverse_ref[0, 0, h], start_ref[0, 0, h], d_state_ref[h]
        )
        dq, dk, dv, d_cum, dbeta, d_state = gradients
        dq_ref[0, :, keys] = dq.astype(dq_ref.dtype)
        dk_ref[0, :, keys] = dk.astype(dk_ref.dtype)
        dv_ref[0, :, values] = dv.astype(dv_ref.dtype)
        d_state_ref[h] = d_state
        return d_cum, dbeta

    found = _by_groups(differentiate, heads, config.interleave)
    d_cum, dbeta = (jnp.concatenate([pair[i] for pair in found], axis=1) for i in (0, 1))
    C = d_cum.shape[0]
    later = jnp.where(_iota((C, C), 0) <= _iota((C, C), 1), 1.0, 0.0)
    dg_ref[0, 0, 0] = jnp.dot(
        later, d_cum, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32
    )
    dbeta_ref[0, 0, 0] = dbeta


def _differentiate(tokens, gates, inverse, start, d_after) -> Generator:
    """Gradients of one chunk of one head; names follow the module's formulas."""
    q, k, v, do = tokens
    C, K = q.shape
    scale = K**-0.5
    wide_q, wide_k, wide_v = (x.astype(jnp.float32) for x in (q, k, v))
    rounded = d_after.astype(jnp.bfloat16)
    decay = gates.decay()
    scores, from_state, read = _dot_t(q, k), _dot(k, start), _dot_t(do, start)
    carried = _dot((gates.tail * wide_k).astype(jnp.bfloat16), rounded)
    yield
    right = gates.beta * (wide_v - gates.gamma * from_state)
    inverse = _split(inverse)
    update = _split(_dot3(inverse, _split(right)))
    d_inside = _t_dot((scores * decay).astype(jnp.bfloat16), do)
    yield
    d_right = _dot3t(inverse, _split(scale * d_inside + carried))
    seen = _dot_t(do, update[0]) + _dot_t(do, update[1])
    written = _dot_t(update[0], rounded)
    yield
    split_right = _split(d_right)
    system = _dot_t(split_right[0], update[0]) + (
        _dot_t(split_right[0], update[1]) + _dot_t(split_right[1], update[0])
    )
    erased = _dot_t(split_right[0], start)
    e = _split(scale * decay * seen)
    dq = scale * gates.gamma * read + (_dot(e[0], k) + _dot(e[1], k))
    dk = _t_dot(e[0], q) + _t_dot(e[1], q)
    yield
    system = jnp.where(_lower(k), -decay * system, 0.0)
    a, weighted = _split(system), _split(gates.beta * system)
    d_beta_k = _dot(a[0], k) + _dot(a[1], k) - gates.gamma * erased
    tailed = gates.tail * written
    dk = dk + (_t_dot(weighted[0], k) + _t_dot(weighted[1], k)) + gates.beta * d_beta_k + tailed
    yield
    reading = (scale * gates.gamma * do.astype(jnp.float32)).astype(jnp.bfloat16)
    erasing = (gates.beta * gates.gamma * d_right).astype(jnp.bfloat16)
    d_before = gates.total * d_after + _t_dot(q, reading) - _t_dot(k, erasing)
    dbeta = (d_right * wide_v).sum(1, keepdims=True) + (d_beta_k * wide_k).sum(1, keepdims=True)
    d_cum = (wide_q * dq + wide_k * (2 * gates.beta * d_beta_k - dk)).sum(1, keepdims=True)
    at_end = gates.total * _sum_all(d_after * start.astype(jnp.float32)) + _sum_all(tailed * wide_k)
    d_cum = d_cum + jnp.where(_iota((C, 1), 0) == C - 1, at_end, 0.0)
    return dq, dk, gates.beta * d_right, d_cum, dbeta, d_before


@dataclasses.dataclass(frozen=True)
class _Gates:
    """The gates of one chunk of one head: the running sum of g as a row and a column, beta as a column."""

    row: jax.Array  # [1, C]
    cum: jax.Array  # [C, 1]
    beta: jax.Array  # [C, 1]

    @classmethod
    def of(cls, cum_rows, columns, h: int, heads: int) -> "_Gates":
        return cls(cum_rows[h : h + 1], columns[:, h : h + 1], columns[:, heads + h : heads + h + 1])

    def decay(self) -> jax.Array:
        """D [C, C]; zero above the diagonal."""
        C = self.cum.shape[0]
        causal = _iota((C, C), 0) >= _iota((C, C), 1)
        return jnp.exp(jnp.where(causal, self.cum - self.row, MASKED))

    @property
    def gamma(self) -> jax.Array:
        return jnp.exp(self.cum)

    @property
    def tail(self) -> jax.Array:
        return jnp.exp(self.cum[-1:] - self.cum)

    @property
    def total(self) -> jax.Array:
        return jnp.exp(self.cum[-1:])


def _gates(g: jax.Array, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """From [heads, C] rows: the running sum of g as rows, and [that | beta] as columns [C, 2 heads]."""
    C = g.shape[1]
    row, column = _iota((C, C), 0), _iota((C, C), 1)
    ones = jnp.where(row <= column, 1.0, 0.0)
    # No cumsum on the TPU; the matmul must keep all bits of g, since its sums end up in exponents.
    cum = jnp.dot(g, ones, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32)
    return cum, jnp.concatenate([cum, beta], axis=0).T


def _by_groups(work, heads: int, interleave: int) -> list:
    """Run `work(h)` for all heads, `interleave` of them side by side at a time."""
    groups = [range(first, min(first + interleave, heads)) for first in range(0, heads, interleave)]
    return [result for group in groups for result in _side_by_side([work(h) for h in group])]


def _side_by_side(problems: list[Generator]) -> list:
    """Write independent problems phase by phase, not one after the other, and return their results.

    The compiler schedules in a window around the program order: work meant to fill the wait for an MXU result has
    to stand next to it. Each problem is straight code that yields wherever it would wait.
    """
    results = [None] * len(problems)
    running = list(enumerate(problems))
    while running:
        still = []
        for index, problem in running:
            try:
                next(problem)
                still.append((index, problem))
            except StopIteration as stop:
                results[index] = stop.value
        running = still
    return results


def inverse_phases(strict: jax.Array, base: int) -> Generator:
    """(I + strict)^-1 by doubling inverted diagonal blocks; yields where it waits for the MXU.

    Two neighbouring inverted blocks A and B join with the block S below A as -B S A. Every intermediate is a piece of
    the true inverse, whose entries stay small for any keys; powers of `strict` explode when keys are correlated.
    """
    C = strict.shape[0]
    inverse = yield from _diagonal_phases(strict, base)
    size = base
    while size < C:
        pairs = range(C // (2 * size))
        lower = [slice((2 * p + 1) * size, (2 * p + 2) * size) for p in pairs]
        # Only the rows of the lower block of each pair change: half of the matrix, cut at sublane-tile borders.
        row_pair = _iota((C // 2, C), 0) >> _log2(size)
        in_upper = _iota((C // 2, C), 1) >> _log2(size) == 2 * row_pair
        below = jnp.where(in_upper, jnp.concatenate([strict[s] for s in lower], axis=0), 0.0)
        joined = _dot3(_split(below), _split(inverse))
        yield
        zeros = jnp.zeros((size, C), jnp.float32)
        spread = jnp.concatenate([x for p in pairs for x in (zeros, joined[p * size : (p + 1) * size])], axis=0)
        lower_rows = jnp.concatenate([inverse[s] for s in lower], axis=0)
        new_rows = lower_rows - _dot3(_split(lower_rows), _split(spread))
        yield
        inverse = jnp.concatenate(
            [
                x
                for p in pairs
                for x in (inverse[2 * p * size : (2 * p + 1) * size], new_rows[p * size : (p + 1) * size])
            ],
            axis=0,
        )
        size *= 2
    return inverse


def _diagonal_phases(strict: jax.Array, base: int) -> Generator:
    """Invert all `base`-row diagonal blocks of I + strict at once by forward substitution.

    Packed as [base, C], a lane per (block, column). Step j needs column j of each block on all lanes of that block:
    one matmul with block-diagonal ones spreads the columns of all steps at once, to 16 bits (two bfloat16 parts).
    """
    C = strict.shape[0]
    shift = _log2(base)
    on_diagonal = _iota((C, C), 0) >> shift == _iota((C, C), 1) >> shift
    blocks = jnp.where(on_diagonal, strict, 0.0)
    packed = functools.reduce(jnp.add, [blocks[i : i + base] for i in range(0, C, base)])
    row, column = _iota((base, C), 0), _iota((base, C), 1) & (base - 1)
    high, low = (part.astype(jnp.float32) for part in _split(packed))
    picked = [jnp.where(column == j, part, 0.0) for part in (high, low) for j in range(base - 1)]
    ones = jnp.where(on_diagonal, 1.0, 0.0).astype(jnp.bfloat16)
    spread = _dot(jnp.concatenate(picked, axis=0).astype(jnp.bfloat16), ones)
    yield
    half = base * (base - 1)
    factors = spread[:half] + spread[half:]
    solved = jnp.where(row == column, 1.0, 0.0)
    for j in range(base - 1):
        solved = solved - factors[j * base : (j + 1) * base] * solved[j : j + 1]
        yield
    return jnp.where(on_diagonal, jnp.concatenate([solved] * (C // base), axis=0), 0.0)


def _split(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two bfloat16 parts whose sum is x to 16 bits."""
    high = x.astype(jnp.bfloat16)
    return high, (x - high.astype(jnp.float32)).astype(jnp.bfloat16)


def _dot3(a: tuple[jax.Array, jax.Array], b: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Product of two split matrices in three bfloat16 passes; low * low is below the rounding of the rest."""
    return _dot(a[0], b[0]) + (_dot(a[0], b[1]) + _dot(a[1], b[0]))


def _dot3t(a: tuple[jax.Array, jax.Array], b: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The same with a transposed."""
    return _t_dot(a[0], b[0]) + (_t_dot(a[0], b[1]) + _t_dot(a[1], b[0]))


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.dot(a, b, preferred_element_type=jnp.float32)


def _dot_t(a: jax.Array, b: jax.Array) -> jax.Array:
    return jax.lax.dot_general(a, b, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32)


def _t_dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jax.lax.dot_general(a, b, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)


def _sum_all(x: jax.Array) -> jax.Array:
    return x.sum(axis=0, keepdims=True).sum(axis=1, keepdims=True)


def _lower(k: jax.Array) -> jax.Array:
    """[C, C]: strictly below the diagonal."""
    C = k.shape[0]
    return _iota((C, C), 0) > _iota((C, C), 1)


def _iota(shape: tuple[int, int], axis: int) -> jax.Array:
    return jax.lax.broadcasted_iota(jnp.int32, shape, axis)


def _log2(size: int) -> int:
    return size.bit_length() - 1
