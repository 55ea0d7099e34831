"""Gated DeltaNet backward as two Pallas TPU kernels: one sweep forward for what is needed, one back for the rest.

The sweep forward stores, in bfloat16 parts for each 128 tokens, the inverted 64-row blocks of their system, the corner
between them, the state S at their start and N. The sweep back carries dS' in VMEM. With G the running sum of g in a
chunk, D_ij = exp(G_i - G_j) for i >= j, c the scale, P = D * Q K^T, T the inverse, R = beta (V - e^G K S), N = T R:

    dN  = c P^T dO + (e^(G_C - G) K) dS'   dR = T^T dN
    A   = -strict_lower(D * dR N^T)        E  = c tril(D * dO N^T)
    dQ  = c e^G dO S^T + E K               dKb = -e^G dR S^T + A K                (with respect to beta k)
    dK  = E^T Q + (beta A)^T K + beta dKb + e^(G_C - G) N dS'^T
    dV  = beta dR                          dbeta = sum_V dR V + sum_K dKb K
    dS  = e^(G_C) dS' + Q^T (c e^G dO) - K^T (beta e^G dR)
    dG  = sum_K (Q dQ - K dK + 2 beta K dKb), and at the chunk's end also <dS', S'>, S' being the state there

dg is the sum of dG from a token to its chunk's end. Products with the system, its inverse and N keep 16 bits, the
others 8. Layout and inverse are explained in the forward kernel, kernels/gdn/variants/pallas_fwd.py.
"""

import dataclasses
import functools
from collections.abc import Generator

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

MASKED, LOG2_E = -1e30, 1.4426950408889634  # exponent of a masked entry, before exp2, never after; exp as exp2
TILE, HALF, BASE = 128, 64, 16  # tokens of a chunk; rows of the largest inverted and of the smallest block
UPPER_HALF = -65536  # the bits of a float32 that a bfloat16 keeps, and the second of two bfloat16 in a word


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes that shape the programs; each changes what the compiler schedules.

    heads_per_block, sweep_heads: heads in a grid step of the sweep back and of the one forward, multiples of 8, of
    which (sweep_)interleave have their instructions side by side. depth: rows of a matrix unit, 256 on v6e and v7x.
    """

    heads_per_block: int = 8
    interleave: int = 8
    sweep_heads: int = 16
    sweep_interleave: int = 16
    depth: int = 128


def run(q, k, v, g, beta, do, *, config: Config) -> tuple[jax.Array, ...]:
    """Return dq, dk [B,T,H,K], dv [B,T,H,V] in bfloat16, dg, dbeta [B,T,H] in float32; K, V multiples of 128."""
    return backward(q, k, v, g, beta, do, config=config, scale=q.shape[-1] ** -0.5)


def backward(q, k, v, g, beta, do, *, config: Config, scale: float, saved=None) -> tuple[jax.Array, ...]:
    """The same with another scale, maybe fewer heads of q and k, and what the forward kernel `saved`."""
    (B, T, keys, K), (H, V) = q.shape, v.shape[2:]
    if K % 128 or V % 128:
        raise ValueError(f"K={K} and V={V} must be multiples of the 128 lanes")
    tiles, group = pl.cdiv(T, TILE), H // keys
    key_heads = min(keys + keys % 2, max(8, config.heads_per_block // group // 8 * 8))  # pairs, or whole eights
    heads, padded_H = group * key_heads, group * pl.cdiv(keys, key_heads) * key_heads
    # beta = 0, g = 0, k = v = do = 0 changes no state and no gradient, so a ragged tail needs no branch.
    q, k, v, g, beta, do = (pad(x, tiles * TILE, padded_H * x.shape[2] // H) for x in (q, k, v, g, beta, do))
    g, beta = (x.transpose(0, 2, 1) for x in (g, beta))  # tokens on lanes, as XLA keeps such arrays anyway
    sizes = {"inverse": (TILE, TILE), "corner": (HALF, TILE), "start": (K, V), "update": (2 * TILE, V)}
    saved = {name: saved[name] for name in sizes if name in (saved or ())}
    if missing := {name: size for name, size in sizes.items() if name not in saved}:
        most = max(1, config.sweep_heads * TILE * TILE // (K * V) // heads)  # blocks of the sweep back in one
        wide = heads * (many := max(n for n in range(1, most + 1) if padded_H // heads % n == 0))
        pieces = ((wide * BASE, TILE), jnp.float32), ((wide, 6 * BASE, TILE), jnp.bfloat16)
        see = blocks_of(lambda t: t, wide, many * key_heads, K, V, sizes)
        found = pl.pallas_call(
            functools.partial(sweep_forward, config=config, solved=bool(saved)),
            grid=(B, padded_H // wide, tiles),
            in_specs=[see[name] for name in ("keys", "values", "gates", "gates", *saved)],
            out_specs=[see[name] for name in missing],
            out_shape=[jax.ShapeDtypeStruct((B, tiles, padded_H, *s), jnp.bfloat16) for s in missing.values()],
            scratch_shapes=[pltpu.VMEM((wide, K, V), jnp.float32), *(pltpu.VMEM(*piece) for piece in pieces)],
            compiler_params=compiler_params(wide // 2),  # half as much as the sweep back holds for each
            name="gdn_bwd_states",
        )(k, v, g, beta, *saved.values())
        saved = saved | dict(zip(missing, found, strict=True))
    see = blocks_of(lambda t: tiles - 1 - t, heads, key_heads, K, V, sizes)
    words = [pltpu.VMEM((TILE * n // 2, x), jnp.int32) for n, x in ((key_heads, K), (key_heads, K), (heads, V))]
    d_state, ends = (pltpu.VMEM((heads, *size), jnp.float32) for size in ((K, V), (V,)))
    seen = ("keys", "keys", "values", "gates", "gates", "values", *sizes)
    dq, dk, dv, *d_gates = pl.pallas_call(
        functools.partial(sweep_back, config=config, scale=scale),
        grid=(B, padded_H // heads, tiles),
        in_specs=[see[name] for name in seen],
        out_specs=[see[name] for name in seen[:5]],
        out_shape=[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (q, k, v, g, beta)],
        scratch_shapes=[d_state, *words, ends],
        compiler_params=compiler_params(heads),
        name="gdn_bwd",
    )(q, k, v, g, beta, do, *(saved[name] for name in sizes))
    return dq[:, :T, :keys], dk[:, :T, :keys], dv[:, :T, :H], *(x.transpose(0, 2, 1)[:, :T, :H] for x in d_gates)


def compiler_params(heads: int) -> pltpu.CompilerParams:
    limit = None if heads <= 8 else 48 << 20  # 16 MiB is what v4 has and others give by default
    return pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary"), vmem_limit_bytes=limit)


def blocks_of(at, heads: int, key_heads: int, K: int, V: int, sizes: dict) -> dict[str, pl.BlockSpec]:
    """What a grid step sees of each kind of array; `at` gives its chunk."""
    blocks = {"gates": pl.BlockSpec((1, heads, TILE), lambda b, h, t: (b, h, at(t)))}
    for name, n, width in (("keys", key_heads, K), ("values", heads, V)):
        blocks[name] = pl.BlockSpec((1, TILE, n, width), lambda b, h, t: (b, at(t), h, 0))
    for name, size in sizes.items():
        blocks[name] = pl.BlockSpec((1, 1, heads, *size), lambda b, h, t: (b, at(t), h, 0, 0))
    return blocks


def pad(x: jax.Array, T: int, H: int) -> jax.Array:
    """Zeros behind the tokens and heads of [B,T,H,...]."""
    return jnp.pad(x, [(0, 0), (0, T - x.shape[1]), (0, H - x.shape[2])] + [(0, 0)] * (x.ndim - 3))


def sweep_forward(*refs, config: Config, solved: bool, begins: bool = True):
    """One chunk of all heads of a block: all that the sweep back wants to know, less what is `solved` already."""
    k_ref, v_ref, g_ref, beta_ref, *saved, state_ref, diagonal, joins = refs
    some, every = config.sweep_interleave, range(state_ref.shape[0])

    @pl.when(begins and pl.program_id(2) == 0)
    def _():
        state_ref[...] = jnp.zeros_like(state_ref)

    gates = _Gates(*running_sums(g_ref[0], beta_ref[0]))

    def invert(h):
        inverse_ref = saved[0].at[0, 0, h]
        blocks = yield from join(diagonal[pl.ds(h * BASE, BASE), :], joins[h, : 2 * BASE], config.depth)
        blocks = yield from join(blocks, joins[h, 2 * BASE :], config.depth)
        high, low = halves(blocks)
        left = iota((HALF, TILE), 1) < HALF
        inverse_ref[:HALF] = jnp.where(left, high, pltpu.roll(low, HALF, 1)).astype(jnp.bfloat16)
        inverse_ref[HALF:] = jnp.where(left, pltpu.roll(high, HALF, 1), low).astype(jnp.bfloat16)

    if not solved:
        side_by_side([_prepare(k_ref, gates, h, saved[1].at[0, 0, h], diagonal, joins) for h in every], some)
        substitute(diagonal, len(every))
        side_by_side([invert(h) for h in every], some)
    side_by_side([_advance(k_ref, v_ref, gates, h, saved, state_ref) for h in every], some)


def _prepare(k_ref, gates, h: int, corner_ref, diagonal_ref, joins_ref) -> Generator:
    """The system of one chunk of one head, in the pieces that are joined later."""
    k = head_of_words(k_ref, h, len(gates.sums)).astype(jnp.bfloat16)
    scores, columns = dot_t(k, k), gates.spread_columns(h)
    yield
    lane, block = iota((32, TILE), 1), iota((BASE, TILE), 1) // BASE
    diagonal, small, wide = (jnp.zeros((rows, TILE), jnp.float32) for rows in (BASE, BASE, 2 * BASE))
    for r in range(0, TILE, 32):  # few rows at a time stay in registers
        cum, beta = (x[r : r + 32] for x in columns)
        system = scores[r : r + 32] * gates.decay(h, cum, r) * beta
        diagonal = jnp.where(block == r // BASE, system[:BASE], diagonal)
        diagonal = jnp.where(block == r // BASE + 1, system[BASE:], diagonal)
        small = jnp.where(block == r // BASE, system[BASE:], small)
        if r % HALF:
            wide = jnp.where(lane < r - 32, wide, system)
        if r >= HALF:
            high, low = halves(system)
            both = jnp.where(lane < HALF, high, pltpu.roll(low, HALF, 1))
            corner_ref[r - HALF : r - 32] = both.astype(jnp.bfloat16)
    strict = iota((BASE, TILE), 1) % BASE < iota((BASE, TILE), 0)
    diagonal_ref[pl.ds(h * BASE, BASE), :] = jnp.where(strict, diagonal, 0.0)
    joins_ref[h] = jnp.concatenate([*split(small), *split(wide)], axis=0)


def _advance(k_ref, v_ref, gates, h: int, saved, state_ref) -> Generator:
    """N of one chunk of one head and the state after it."""
    (inverse, corner, start, kept), state = (x.at[0, 0, h] for x in saved), state_ref[h]
    k = head_of_words(k_ref, h, len(gates.sums)).astype(jnp.bfloat16)
    start[...] = state.astype(jnp.bfloat16)
    from_state = dot(k, state.astype(jnp.bfloat16))
    yield
    cum, beta = (jnp.broadcast_to(gates.columns[:, c : c + 1], from_state.shape) for c in (h, len(gates.sums) + h))
    right = beta * (head_of_words(v_ref, h, len(gates.sums)) - jnp.exp2(cum) * from_state)
    first = dot_halves(inverse[:HALF], right[:HALF])
    yield
    second = right[HALF:] - dot_halves(corner[...], first)
    yield
    second = dot_halves(inverse[HALF:], second)
    yield
    update, total = jnp.concatenate([first, second], axis=0), cum[TILE - 1 :]
    kept[...] = jnp.concatenate(split(update), axis=0)
    state_ref[h] = jnp.exp2(total) * state + t_dot(k, (jnp.exp2(total - cum) * update).astype(jnp.bfloat16))


def sweep_back(*refs, config: Config, scale: float, begins: bool = True):
    """One chunk of all heads of a block, the last chunk first: its gradients, and the one of the state before it."""
    tokens, (g_ref, beta_ref), saved = (refs[0], refs[1], refs[2], refs[5]), refs[3:5], refs[6:10]
    d_refs, (dg_ref, dbeta_ref), (d_state_ref, *words, ends_ref) = refs[10:13], refs[13:15], refs[15:]
    heads, key_heads = d_state_ref.shape[0], d_refs[0].shape[2]

    @pl.when(begins and pl.program_id(2) == 0)
    def _():
        d_state_ref[...], ends_ref[...] = jnp.zeros_like(d_state_ref), jnp.zeros_like(ends_ref)

    at_end = jnp.where(iota((heads, TILE), 1) == TILE - 1, ends_ref[...].sum(1, keepdims=True), 0.0)
    gates, found = _Gates(*running_sums(g_ref[0], beta_ref[0])), {}

    def differentiate(key_head):
        of_keys = []
        for h in range(key_head * heads // key_heads, (key_head + 1) * heads // key_heads):
            inputs = [functools.partial(head_of_words, ref, h, heads) for ref in tokens]
            kept = *(ref.at[0, 0, h] for ref in saved), d_state_ref.at[h], ends_ref.at[h : h + 1]
            *both, found[h], found[heads + h] = yield from _gradients(inputs, gates, h, kept, words[2], scale)
            of_keys = [x + y for x, y in zip(of_keys, both, strict=True)] if of_keys else both
        for all_heads, gradient in zip(words, of_keys, strict=False):
            put(all_heads, key_head, gradient)

    side_by_side([differentiate(h) for h in range(key_heads)], config.interleave)
    for ref, kept in zip(d_refs, words, strict=True):
        ref[0] = pltpu.bitcast(kept[...], jnp.bfloat16).reshape(ref.shape[1:])
    rows = jnp.concatenate([found[n] for n in range(2 * heads)], axis=1).T
    later = iota((TILE, TILE), 0) >= iota((TILE, TILE), 1)
    dg_ref[0], dbeta_ref[0] = dot_exact(rows[:heads] + at_end, later), rows[heads:]


def _gradients(inputs, gates, h: int, kept, dv, scale: float) -> Generator:
    """Gradients of one chunk of one head; names follow the module's formulas. Inputs are read where they are used."""
    read_q, read_k, read_v, read_do = inputs
    inverse, corner, start, update, d_state_ref, ends_ref = kept
    q, k, do = (read().astype(jnp.bfloat16) for read in (read_q, read_k, read_do))
    rounded, scores = d_state_ref[...].astype(jnp.bfloat16), dot_t(k, q)
    cum, beta = (jnp.broadcast_to(gates.columns[:, c : c + 1], (TILE, TILE)) for c in (h, len(gates.sums) + h))
    (cum_k, beta_k), (cum_v, beta_v) = ([jnp.tile(x, (1, n // TILE)) for x in (cum, beta)] for n in start.shape)
    yield
    both = scale * scores * gates.decay(h, cum, 0, turned=True), jnp.exp2(cum_k[TILE - 1 :] - cum_k) * read_k()
    both = jnp.concatenate(both, axis=1).astype(jnp.bfloat16)
    d_update = dot(both, jnp.concatenate([do, rounded], axis=0))
    yield
    second = t_dot_halves(inverse[HALF:], d_update[HALF:])
    yield
    first = d_update[:HALF] - t_dot_halves(corner[...], second)
    yield
    first = t_dot_halves(inverse[:HALF], first)
    yield
    (high, low), gamma = split(d_right := jnp.concatenate([first, second], axis=0)), jnp.exp2(cum_v)
    reading = (scale * gamma * read_do()).astype(jnp.bfloat16)
    erasing, erasing_k = ((-x).astype(jnp.bfloat16) for x in (gamma * d_right, beta_v * (gamma * d_right)))
    put(dv, h, beta_v * d_right)
    lines = [jnp.concatenate([do, high, x], axis=0) for x in (low, jnp.zeros_like(low))]
    with_n = dot_t(jnp.concatenate(lines, axis=1), jnp.concatenate([update[:TILE], update[TILE:]], axis=1))
    d_start = t_dot(jnp.concatenate([q, k], axis=0), jnp.concatenate([reading, erasing_k], axis=0))
    yield
    decay, strict = gates.decay(h, cum, 0), iota((TILE, TILE), 0) > iota((TILE, TILE), 1)
    e = (scale * decay * with_n[:TILE]).astype(jnp.bfloat16)
    system = jnp.where(strict, -decay * (with_n[TILE : 2 * TILE] + with_n[2 * TILE :]), 0.0)
    (high, low), scaled = split(system), split(beta * system)
    d_state_ref[...] = d_before = jnp.exp2(cum_v[TILE - 1 :]) * d_state_ref[...] + d_start
    ends_ref[...] = (d_before * start[...].astype(jnp.float32)).sum(0, keepdims=True)  # for the chunk before
    lines = [jnp.concatenate(x, axis=0) for x in ((reading, erasing), (e, high))]
    both = dot(jnp.concatenate(lines, axis=1), jnp.concatenate([start[...].T, k], axis=0))
    writing = (jnp.exp2(cum_v[TILE - 1 :] - cum_v) * update[:TILE].astype(jnp.float32)).astype(jnp.bfloat16)
    by_low, lines = dot(low, k), jnp.concatenate([*(x.T for x in (e, *scaled)), writing], axis=1)
    dk = dot(lines, jnp.concatenate([q, k, k, rounded.T], axis=0))
    yield
    wide_q, wide_k, dq, d_beta_k = read_q(), read_k(), both[:TILE], both[TILE:] + by_low
    erased = beta_k * d_beta_k
    d_cum = row_sums(wide_q * dq + wide_k * (erased - dk))  # - K (dK + erased) + 2 K erased
    return dq, dk + erased, d_cum, row_sums(d_right * read_v(), d_beta_k * wide_k)


@dataclasses.dataclass(frozen=True)
class _Gates:
    """The gates of one chunk of all heads."""

    sums: jax.Array  # [heads, 128]: running sums of g / ln 2
    columns: jax.Array  # [128, 2 heads]: the same and beta, a token a row
    parts: jax.Array  # [128, 5 heads]: three bfloat16 parts of the sums, two of beta

    def spread_columns(self, h: int) -> list[jax.Array]:
        """Those of a head on all lanes, from the matrix unit: it has time where the cross-lane unit has none."""
        row, heads = iota((self.parts.shape[1], TILE), 0), len(self.sums)
        ones = [jnp.where((row % heads == h) & part, 1.0, 0.0) for part in (row < 3 * heads, row >= 3 * heads)]
        return jnp.split(dot(self.parts, jnp.concatenate(ones, axis=1).astype(jnp.bfloat16)), 2, axis=1)

    def decay(self, h: int, cum: jax.Array, first: int, turned: bool = False) -> jax.Array:
        """Rows of D, or of D transposed, from the first one on; zero where a token would see a later one."""
        row, lane, sums = iota(cum.shape, 0) + first, iota(cum.shape, 1), self.sums[h : h + 1]
        causal, exponent = (lane >= row, sums - cum) if turned else (row >= lane, cum - sums)
        return jnp.exp2(jnp.where(causal, exponent, MASKED))


def row_sums(*arrays: jax.Array) -> jax.Array:
    """Sums of the rows of all arrays together, [n,1]: added up before their lanes, which costs a pass each."""
    return sum(x[:, at : at + TILE] for x in arrays for at in range(0, x.shape[1], TILE)).sum(1, keepdims=True)


def t_dot_halves(parts: jax.Array, right: jax.Array) -> jax.Array:
    """As `dot_halves`, the matrix transposed."""
    high, low = split(right)
    return (both := t_dot(parts, high))[:HALF] + both[HALF:] + t_dot(parts[:, :HALF], low)


def head_of_words(ref, h: int, of: int) -> jax.Array:
    """What head h `of` as many reads of a bfloat16 block [1,T,heads,D], as float32; two heads lie in a word."""
    _, T, heads, width = ref.shape
    h = h * heads // of
    words = ref.reshape(T * heads, width).bitcast(jnp.int32)[pl.ds(h // 2, T, heads // 2), :]
    return pltpu.bitcast(words & jnp.int32(UPPER_HALF) if h % 2 else words << 16, jnp.float32)


def put(words, h: int, x: jax.Array) -> None:
    """Write head h of words that hold two heads in bfloat16; the even one goes first."""
    at = pl.ds(h // 2, TILE, words.shape[0] // TILE)
    bits = pltpu.bitcast(x.astype(jnp.bfloat16).astype(jnp.float32), jnp.int32)
    words[at, :] = words[at, :] | bits if h % 2 else jax.lax.shift_right_logical(bits, 16)


def running_sums(g: jax.Array, beta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """From [heads,128] rows: the running sum of g / ln 2, [that | beta] as columns, and the same in parts."""
    cum = dot_exact(g * LOG2_E, iota((TILE, TILE), 0) <= iota((TILE, TILE), 1))
    parts = jnp.concatenate([halves(cum)[0], *halves(halves(cum)[1]), *halves(beta)], axis=0)
    return cum, jnp.concatenate([cum, beta], axis=0).T, parts.T.astype(jnp.bfloat16)


def dot_exact(x: jax.Array, ones: jax.Array) -> jax.Array:
    """x [n,128] times zeros and ones, with all bits of x: its sums enter exponents."""
    high, rest = halves(x)
    parts = jnp.concatenate([high, *halves(rest)], axis=0).astype(jnp.bfloat16)
    n, sums = x.shape[0], dot(parts, jnp.where(ones, 1.0, 0.0).astype(jnp.bfloat16))
    return sums[:n] + (sums[n : 2 * n] + sums[2 * n :])


def side_by_side(problems: list[Generator], most: int) -> None:
    """Write independent problems phase by phase, `most` at a time."""
    for first in range(0, len(problems), most):
        running = problems[first : first + most]
        while running:
            running = [problem for problem in running if next(problem, "done") is None]


def substitute(diagonal, heads: int) -> None:
    """Invert I + all 16-row diagonal blocks in place: [heads * 16, 128], a head's eight blocks side by side."""
    lane, solved = iota((heads, TILE), 1), []
    for i in range(BASE):
        factors = diagonal[pl.ds(i, heads, BASE), :]
        row = jnp.where(lane % BASE == i, 1.0, 0.0)
        for j in range(i):
            at = lane - lane % BASE + j
            row = row - jnp.take_along_axis(factors, at, axis=1, mode="promise_in_bounds") * solved[j]
        solved.append(row)
        diagonal[pl.ds(i, heads, BASE), :] = row


def join(blocks: jax.Array, between: jax.Array, depth: int) -> Generator:
    """Inverted blocks [s,128], side by side, to blocks of twice the rows; `between` [2s,128]: what joins them."""
    s, (high, low) = blocks.shape[0], split(blocks)
    above = three_passes(between, spread(high, 0), spread(low, 0), depth)
    yield
    new = three_passes(jnp.concatenate([high, low], axis=0), *(spread(part, 1) for part in split(above)), depth)
    yield
    even = iota((s, TILE), 1) // s % 2 == 0
    return jnp.concatenate([jnp.where(even, blocks, 0.0), jnp.where(even, -new, blocks)], axis=0)


def three_passes(parts: jax.Array, high: jax.Array, low: jax.Array, depth: int) -> jax.Array:
    """(parts[:s] + parts[s:]) (high + low), without the product of the two low parts."""
    s = parts.shape[0] // 2
    if depth == 2 * TILE:
        beside = jnp.concatenate([parts[:s], jnp.zeros_like(parts[s:])], axis=0)
        both = dot(jnp.concatenate([parts, beside], axis=1), jnp.concatenate([high, low], axis=0))
        return both[:s] + both[s:]
    both = dot(parts, high)
    return both[:s] + both[s:] + dot(parts[:s], low)


def spread(blocks: jax.Array, below: int) -> jax.Array:
    """[s,128], blocks side by side, as [128,128]: the even ones on the diagonal, or one block below it."""
    wide = jnp.concatenate([blocks.astype(jnp.float32)] * (TILE // (s := blocks.shape[0])), axis=0)
    row, lane = iota((TILE, TILE), 0) // s, iota((TILE, TILE), 1) // s
    return jnp.where((row == lane + below) & (lane % 2 == 0), wide, 0.0).astype(jnp.bfloat16)


def dot_halves(parts: jax.Array, right: jax.Array) -> jax.Array:
    """[high | low] [64,128] times right [64,V] in three passes, two of them in one contraction."""
    high, low = split(right)
    return dot(parts, jnp.concatenate([high, high], axis=0)) + dot(parts[:, :HALF], low)


def halves(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x as two float32 arrays, of which the first is a bfloat16: truncated, which is cheaper than rounded."""
    high = pltpu.bitcast(pltpu.bitcast(x, jnp.int32) & jnp.int32(UPPER_HALF), jnp.float32)
    return high, x - high


def split(x: jax.Array) -> list[jax.Array]:
    """Two bfloat16 parts whose sum is x to 16 bits."""
    return [part.astype(jnp.bfloat16) for part in halves(x)]


def _contract(axis_a: int, axis_b: int, a: jax.Array, b: jax.Array) -> jax.Array:
    return jax.lax.dot_general(a, b, (((axis_a,), (axis_b,)), ((), ())), preferred_element_type=jnp.float32)


dot, dot_t, t_dot = (functools.partial(_contract, *axes) for axes in ((1, 0), (1, 1), (0, 0)))  # A B, A B^T, A^T B
iota = functools.partial(jax.lax.broadcasted_iota, jnp.int32)  # of shape and axis
