"""Gated DeltaNet forward as one Pallas TPU kernel: every input is read once, every output written once.

Grid: sequences, groups of heads, steps along time. The last axis runs in order and carries the state in VMEM, so
no chunk state ever goes to HBM. Inside a chunk of C tokens, with G the running sum of g, D_ij = exp(G_i - G_j) for
i >= j, M the strictly lower part of diag(beta) (D * K K^T) and S the state at the chunk's start:

    N  = (I + M)^-1 (beta V - beta e^G K S)
    O  = K^(-1/2) (e^G Q S + (D * Q K^T) N)
    S' = e^(G_C) S + K^T (e^(G_C - G) N)

Precision: k and q arrive in bfloat16, so K K^T in one pass with float32 accumulation is exact up to the summation.
The inverse and its product with the right-hand side use three bfloat16 passes; products with the state use one.
Casts are written out, so that the interpreter rounds exactly where the MXU does.
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
    """Sizes that shape the program; each changes what the compiler schedules.

    chunk: tokens solved at once. Longer fills the 128 lanes and the MXU better, but work inside it grows with it.
    heads_per_block: heads in one grid step: larger copies, fewer steps, more independent work.
    interleave: heads whose instructions are written side by side; 1 writes head after head.
    chunks_per_step: consecutive chunks in one grid step; their inverses do not wait for the state.
    base: rows solved by substitution on the VPU before blocks are doubled on the MXU.
    """

    chunk: int = 64
    heads_per_block: int = 1
    interleave: int = 1
    chunks_per_step: int = 1
    base: int = 16


def run(q, k, v, g, beta, *, config: Config) -> tuple[jax.Array, jax.Array]:
    """Return o [B,T,H,V] and final_state [B,H,K,V]; K and V must be multiples of 128."""
    B, T, H, K = q.shape
    V = v.shape[-1]
    if K % 128 or V % 128:
        raise ValueError(f"K={K} and V={V} must be multiples of the 128 lanes")
    heads = math.gcd(config.heads_per_block, H)
    step = config.chunk * config.chunks_per_step
    padded_T = pl.cdiv(T, step) * step
    # beta = 0, g = 0, k = v = 0 leaves the state alone, so a ragged tail needs no branch in the kernel.
    q, k, v, g, beta = (_pad_time(array, padded_T) for array in (q, k, v, g, beta))
    q, k, v = (array.reshape(B, padded_T, -1) for array in (q, k, v))
    # T on lanes: one [.., chunk] row per head instead of 128-fold padding of a column.
    gate_shape = (B, padded_T // config.chunk, config.chunk, H // heads, heads)
    g, beta = (array.reshape(gate_shape).transpose(0, 1, 3, 4, 2) for array in (g, beta))

    def per_token(width):
        return pl.BlockSpec((1, step, heads * width), lambda b, h, t: (b, t, h))

    gate_block = (1, config.chunks_per_step, 1, heads, config.chunk)
    per_gate = pl.BlockSpec(gate_block, lambda b, h, t: (b, t, h, 0, 0))
    o, final_state = pl.pallas_call(
        functools.partial(_kernel, config=config, heads=heads),
        grid=(B, H // heads, padded_T // step),
        in_specs=[per_token(K), per_token(K), per_token(V), per_gate, per_gate],
        out_specs=[per_token(V), pl.BlockSpec((1, heads, K, V), lambda b, h, t: (b, h, 0, 0))],
        out_shape=[
            jax.ShapeDtypeStruct((B, padded_T, H * V), v.dtype),
            jax.ShapeDtypeStruct((B, H, K, V), jnp.float32),
        ],
        scratch_shapes=[pltpu.VMEM((heads, K, V), jnp.float32)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary")),
        name="gdn_fwd",
    )(q, k, v, g, beta)
    return o.reshape(B, padded_T, H, V)[:, :T], final_state


def _pad_time(array: jax.Array, padded_T: int) -> jax.Array:
    missing = padded_T - array.shape[1]
    if missing == 0:
        return array
    return jnp.pad(array, [(0, 0), (0, missing)] + [(0, 0)] * (array.ndim - 2))


def _kernel(*refs, config: Config, heads: int):
    """One grid step: `chunks_per_step` chunks of `heads` heads of one sequence."""
    q_ref, k_ref, v_ref, g_ref, beta_ref, o_ref, final_ref, state_ref = refs
    C, K, V = config.chunk, state_ref.shape[1], state_ref.shape[2]

    @pl.when(pl.program_id(2) == 0)
    def _():
        state_ref[...] = jnp.zeros_like(state_ref)

    gates = [_gates(g_ref[0, c, 0], beta_ref[0, c, 0]) for c in range(config.chunks_per_step)]

    def solve(c, h):
        rows = pl.ds(c * C, C)
        q, k = (ref[0, rows, h * K : (h + 1) * K] for ref in (q_ref, k_ref))
        cum_rows, columns = gates[c]
        cum, beta = columns[:, h : h + 1], columns[:, heads + h : heads + h + 1]
        return _solve_chunk(q, k, cum_rows[h : h + 1], cum, beta, config.base)

    def advance(c, h, solved):
        rows, lanes = pl.ds(c * C, C), slice(h * V, (h + 1) * V)
        o, state = yield from _advance_state(solved, v_ref[0, rows, lanes], state_ref[h])
        o_ref[0, rows, lanes] = o.astype(o_ref.dtype)
        state_ref[h] = state

    for first in range(0, heads, config.interleave):
        group = range(first, min(first + config.interleave, heads))
        pairs = [(c, h) for c in range(config.chunks_per_step) for h in group]
        solved = dict(zip(pairs, _side_by_side([solve(c, h) for c, h in pairs]), strict=True))
        for c in range(config.chunks_per_step):
            _side_by_side([advance(c, h, solved[c, h]) for h in group])

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _():
        final_ref[0] = state_ref[...]


def _gates(g: jax.Array, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """From [heads, C] rows: the running sum of g as rows, and [that | beta] as columns [C, 2 heads]."""
    C = g.shape[1]
    row, column = _iota((C, C), 0), _iota((C, C), 1)
    ones = jnp.where(row <= column, 1.0, 0.0)
    # No cumsum on the TPU; the matmul must keep all bits of g, since its sums end up in exponents.
    cum = jnp.dot(g, ones, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32)
    return cum, jnp.concatenate([cum, beta], axis=0).T


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


@dataclasses.dataclass(frozen=True)
class _Solved:
    """What a chunk needs from its own tokens before it meets the state."""

    kq: jax.Array  # [2C, K] bfloat16: one set of weights in the MXU serves both halves
    inverse: jax.Array  # [C, C] float32: (I + M)^-1
    attention: jax.Array  # [C, C] bfloat16: D * Q K^T
    cum: jax.Array  # [C, 1] float32: running sum of g
    beta: jax.Array  # [C, 1] float32


def _solve_chunk(q, k, cum_row, cum, beta, base: int) -> Generator:
    """Everything in a chunk of one head that does not depend on the state."""
    C = q.shape[0]
    causal = _iota((C, C), 0) >= _iota((C, C), 1)
    strict = _iota((C, C), 0) > _iota((C, C), 1)
    kq = jnp.concatenate([k, q], axis=0)
    scores = _dot_t(kq, k)
    decay = jnp.exp(jnp.where(causal, cum - cum_row, MASKED))
    yield
    attention = (scores[C:] * decay).astype(jnp.bfloat16)
    inverse = yield from inverse_phases(jnp.where(strict, scores[:C] * decay * beta, 0.0), base)
    return _Solved(kq, inverse, attention, cum, beta)


def _advance_state(solved: _Solved, v: jax.Array, state: jax.Array) -> Generator:
    """Output [C,V] and new state [K,V] of one chunk of one head."""
    C, K = v.shape[0], state.shape[0]
    from_state = _dot(solved.kq, state.astype(jnp.bfloat16))
    gamma, total = jnp.exp(solved.cum), solved.cum[C - 1 :]
    yield
    right = solved.beta * (v.astype(jnp.float32) - gamma * from_state[:C])
    update = _dot3(_split(solved.inverse), _split(right))
    yield
    decayed = (jnp.exp(total - solved.cum) * update).astype(jnp.bfloat16)
    added = jax.lax.dot_general(
        solved.kq[:C], decayed, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32
    )
    inside = _dot(solved.attention, update.astype(jnp.bfloat16))
    yield
    return (gamma * from_state[C:] + inside) * K**-0.5, jnp.exp(total) * state + added


def inverse_unit_lower(strict: jax.Array, base: int) -> jax.Array:
    """(I + strict)^-1 for one strictly lower [C,C] float32 matrix; C and base are powers of two."""
    return _side_by_side([inverse_phases(strict, base)])[0]


def inverse_phases(strict: jax.Array, base: int) -> Generator:
    """(I + strict)^-1 by doubling inverted diagonal blocks; yields where it waits for the MXU.

    Two neighbouring inverted blocks A and B of a level join with the block S below A as -B S A. Every intermediate
    is a piece of the true inverse, whose entries stay small for any keys; powers of `strict` (the Neumann series)
    reach 1e20 and more for correlated keys and cancel catastrophically, in float32 too.
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

    Packed as [base, C]: a sublane is a row inside its block, a lane is (block, column), so all blocks of a head
    fit in base/8 registers per 128 lanes. Step j needs column j of each block on all lanes of that block. Lane
    broadcasts would occupy the XLU; one matmul with block-diagonal ones spreads the columns of all steps at once,
    to 16 bits (two bfloat16 parts).
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


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.dot(a, b, preferred_element_type=jnp.float32)


def _dot_t(a: jax.Array, b: jax.Array) -> jax.Array:
    return jax.lax.dot_general(a, b, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32)


def _iota(shape: tuple[int, int], axis: int) -> jax.Array:
    return jax.lax.broadcasted_iota(jnp.int32, shape, axis)


def _log2(size: int) -> int:
    return size.bit_length() - 1
