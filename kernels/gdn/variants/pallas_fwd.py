"""Gated DeltaNet forward as one Pallas TPU kernel: every input is read once, every output written once.

Grid: sequences, groups of heads, tiles of 128 tokens. The last axis runs in order and carries the state in VMEM, so
no chunk state goes to HBM unless it is asked for. Inside a chunk of C tokens, with G the running sum of g, D_ij =
exp(G_i - G_j) for i >= j, M the strictly lower part of diag(beta) (D * K K^T) and S the state at the chunk's start:

    N  = (I + M)^-1 (beta V - beta e^G K S)
    O  = scale (e^G Q S + (D * Q K^T) N)
    S' = e^(G_C) S + K^T (e^(G_C - G) N)

* Layout: blocks are cut from [B,T,H,D] as it lies in HBM, and a head is read as every H-th row of words that hold
  two neighbouring heads. Flattening the heads instead costs a copy of every operand before and after the kernel.
* Inverse: 16-row diagonal blocks by substitution, eight heads in the sublanes of one register; joined to 32 and 64
  rows on the matrix unit with the blocks side by side, so that a product has 16 or 32 rows instead of 64. The last
  doubling is never done: two 64-row blocks are solved one after the other.
* Precision: the inverse and its products keep 16 bits (three bfloat16 passes), products with the state take one pass.
  Casts are written out, so that an interpreter rounds where the matrix unit does.
"""

import dataclasses
import functools
from collections.abc import Generator

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

MASKED = -1e30  # exponent of a masked entry: exp2 gives exactly 0, and the mask comes before it, never after
LOG2_E = 1.4426950408889634  # running sums are kept for exp2, which is what the chips compute
TILE, HALF, BASE = 128, 64, 16  # tokens of a grid step; rows of the largest inverted and of the smallest block
UPPER_HALF = -65536  # the bits of a float32 that a bfloat16 keeps, and the second of two bfloat16 in a word


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes that shape the program; each changes what the compiler schedules.

    chunk: tokens between two visits to the state, 64 or 128. heads_per_block: heads in one grid step, a multiple of
    8. interleave: heads whose instructions are written side by side, so that one's products hide another's. depth:
    rows of a matrix unit, 128 or 256 (v6e, v7x), where a set of weights of 256 rows costs no more than one of 128.
    """

    chunk: int = 128
    heads_per_block: int = 16
    interleave: int = 16
    depth: int = 128


def run(q, k, v, g, beta, *, config: Config) -> tuple[jax.Array, jax.Array]:
    """Return o [B,T,H,V] and final_state [B,H,K,V]; K and V must be multiples of 128."""
    o, final_state, _ = forward(q, k, v, g, beta, config=config, scale=q.shape[-1] ** -0.5)
    return o, final_state


def forward(q, k, v, g, beta, *, config: Config, scale: float, initial_state=None, plan=None, save=(), every=1):
    """(o, final_state, saved) of bfloat16 q, k, v, and beyond `run`:

    q and k [B,T,Hk,K] may have fewer heads, each read by H / Hk heads of v. initial_state [N,H,K,V] float32, else
    zero. plan [3,n] int32: several sequences in one row of n tiles (B must be 1); for each tile its sequence, and
    whether it is that sequence's first and its last. save: what to return of every tile for a backward pass:
    `inverse`, the inverted blocks; `corner`, what joins them; `update`, N; `start`, the state before each `every`-th.
    """
    (B, T, keys, K), (H, V) = q.shape, v.shape[2:]
    if K % 128 or V % 128 or config.chunk not in (HALF, TILE):
        raise ValueError(f"K={K} and V={V} must be multiples of the 128 lanes, chunk={config.chunk} 64 or 128")
    if save and config.chunk != TILE:
        raise ValueError("a backward pass needs chunks of 128 tokens")
    tiles, group = pl.cdiv(T, TILE), H // keys
    key_heads = min(keys + keys % 2, max(8, config.heads_per_block // group // 8 * 8))  # pairs, or whole eights
    heads, padded_H = group * key_heads, group * pl.cdiv(keys, key_heads) * key_heads
    # beta = 0, g = 0, k = v = 0 leaves the state alone, so a ragged tail needs no branch in the kernel.
    operands = [pad(x, tiles * TILE, padded_H * x.shape[2] // H) for x in (q, k, v, g, beta)]
    operands[3:] = [x.transpose(0, 2, 1) for x in operands[3:]]  # tokens on lanes, as XLA keeps such arrays anyway
    names, planned = ["q", "k", "v", "g", "beta"], () if plan is None else (plan,)
    if initial_state is not None:
        operands.append(jnp.pad(initial_state, [(0, 0), (0, padded_H - H), (0, 0), (0, 0)]))
        names.append("initial")
    sequences = B if initial_state is None else initial_state.shape[0]
    per_tile = {"inverse": (TILE, TILE), "corner": (HALF, TILE), "start": (K, V), "update": (2 * TILE, V)}
    blocks = _blocks(heads, key_heads, K, V, per_tile, every)
    results = {
        "o": jax.ShapeDtypeStruct((B, tiles * TILE, padded_H, V), v.dtype),
        "final": jax.ShapeDtypeStruct((sequences, padded_H, K, V), jnp.float32),
    }
    for name in save:
        count = pl.cdiv(tiles, every) if name == "start" else tiles
        results[name] = jax.ShapeDtypeStruct((B, count, padded_H, *per_tile[name]), jnp.bfloat16)
    scratch = {
        "state": pltpu.VMEM((heads, K, V), jnp.float32),
        "words": pltpu.VMEM((TILE * heads // 2, V), jnp.int32),
        "both": pltpu.VMEM((heads, 2 * TILE, K), jnp.bfloat16),
        "diagonal": pltpu.VMEM((heads * BASE, TILE), jnp.float32),
        "joins": pltpu.VMEM((heads, 6 * BASE, TILE), jnp.bfloat16),
        "attention": pltpu.VMEM((heads, TILE, TILE), jnp.bfloat16),
    }
    for name in ("inverse", "corner"):
        if name not in save:
            scratch[name] = pltpu.VMEM((heads, *per_tile[name]), jnp.bfloat16)
    all_names = ("plan",) * len(planned) + (*names, *results, *scratch)
    outputs = pl.pallas_call(
        functools.partial(_kernel, names=all_names, config=config, scale=scale, every=every),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=len(planned),
            grid=(B, padded_H // heads, tiles),
            in_specs=[blocks[name] for name in names],
            out_specs=[blocks[name] for name in results],
            scratch_shapes=list(scratch.values()),
        ),
        out_shape=list(results.values()),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary")),
        name="gdn_fwd",
    )(*planned, *operands)
    return outputs[0][:, :T, :H], outputs[1][:, :H], dict(zip(save, outputs[2:], strict=True))


def _blocks(heads: int, key_heads: int, K: int, V: int, per_tile: dict, every: int) -> dict[str, pl.BlockSpec]:
    """What one grid step sees of each array; with a plan, it tells whose state a tile belongs to."""
    states = pl.BlockSpec((1, heads, K, V), lambda b, h, t, *plan: (plan[0][0, t] if plan else b, h, 0, 0))
    gates = pl.BlockSpec((1, heads, TILE), lambda b, h, t, *_: (b, h, t))
    blocks = {"g": gates, "beta": gates, "initial": states, "final": states}
    for name, n, width in (("q", key_heads, K), ("k", key_heads, K), ("v", heads, V), ("o", heads, V)):
        blocks[name] = pl.BlockSpec((1, TILE, n, width), lambda b, h, t, *_: (b, t, h, 0))
    for name, size in per_tile.items():
        blocks[name] = pl.BlockSpec((1, 1, heads, *size), lambda b, h, t, *_: (b, t, h, 0, 0))
    return blocks | {"start": pl.BlockSpec((1, 1, heads, K, V), lambda b, h, t, *_: (b, t // every, h, 0, 0))}


def pad(x: jax.Array, T: int, H: int) -> jax.Array:
    """Zeros behind the tokens and heads of [B,T,H,...]."""
    return jnp.pad(x, [(0, 0), (0, T - x.shape[1]), (0, H - x.shape[2])] + [(0, 0)] * (x.ndim - 3))


def _kernel(*refs, names: tuple[str, ...], config: Config, scale: float, every: int):
    """One tile of all heads of a block: solve what needs no state, then walk its chunks with the state."""
    ref = dict(zip(names, refs, strict=True))
    heads = ref["state"].shape[0]
    tile = pl.program_id(2)
    first, last = tile == 0, tile == pl.num_programs(2) - 1
    if "plan" in ref:
        first, last = (ref["plan"][i, tile] == 1 for i in (1, 2))

    @pl.when(first)
    def _():
        ref["state"][...] = ref["initial"][0] if "initial" in ref else jnp.zeros_like(ref["state"])

    if "start" in ref:

        @pl.when(tile % every == 0)
        def _():
            ref["start"][0, 0] = ref["state"][...].astype(jnp.bfloat16)

    block = _Block(ref, *running_sums(ref["g"][0], ref["beta"][0], config.chunk), config, scale)
    groups = [range(h, min(h + config.interleave, heads)) for h in range(0, heads, config.interleave)]
    for group in groups:
        side_by_side([block.prepare(h) for h in group])
    substitute(ref["diagonal"], heads)
    for group in groups:
        side_by_side([block.invert(h) for h in group])
    for group in groups:
        outputs = side_by_side([block.advance(h) for h in group])
        for h, *two in zip(group[::2], outputs[::2], outputs[1::2], strict=True):
            ref["words"][pl.ds(h // 2, TILE, heads // 2), :] = pair(*two)
    # As words and then at once: the rows of one head are no block that bfloat16 could be stored to.
    ref["o"][0] = pltpu.bitcast(ref["words"][...], jnp.bfloat16).reshape(ref["o"].shape[1:])

    @pl.when(last)
    def _():
        ref["final"][0] = ref["state"][...]


@dataclasses.dataclass(frozen=True)
class _Block:
    """The phases of one tile; each yields where it would wait for the matrix unit."""

    ref: dict
    sums: jax.Array  # [heads, 128]: running sums of g / ln 2
    parts: jax.Array  # [128, 5 heads]: three bfloat16 parts of the same, two of beta, a token a row
    config: Config
    scale: float

    def columns(self, h: int) -> tuple[jax.Array, jax.Array]:
        """Running sums of g and beta, each on all lanes: products with ones, as the cross-lane unit is the slower."""
        row, heads = iota((self.parts.shape[1], TILE), 0), len(self.sums)
        ones = [jnp.where((row % heads == h) & part, 1.0, 0.0) for part in (row < 3 * heads, row >= 3 * heads)]
        both = dot(self.parts, jnp.concatenate(ones, axis=1).astype(jnp.bfloat16))
        return both[:, :TILE], both[:, TILE:]

    def part(self, name: str, h: int):
        """The scratch or the result of this name, of one head."""
        whole = self.ref[name]
        return whole.at[0, 0, h] if len(whole.shape) == 5 else whole.at[h]

    def prepare(self, h: int) -> Generator:
        """Products between the tile's own tokens: what attends, and the system in the pieces that `invert` joins."""
        of_keys = h * self.ref["k"].shape[2] // len(self.sums)
        k, q = (head_of_words(self.ref[name], of_keys).astype(jnp.bfloat16) for name in "kq")
        both = self.ref["both"][h] = jnp.concatenate([k, q], axis=0)
        scores, columns = dot_t(both, k), self.columns(h)
        yield
        row, lane, block = iota((32, TILE), 0), iota((32, TILE), 1), iota((BASE, TILE), 1) // BASE
        diagonal = small = jnp.zeros((BASE, TILE), jnp.float32)
        corner, attention = self.part("corner", h), self.part("attention", h)
        for r in range(0, TILE, 32):  # few rows at a time stay in registers
            cum, beta = (x[r : r + 32] for x in columns)
            seen = row + r >= lane
            if self.config.chunk < TILE:
                seen &= lane // self.config.chunk == r // self.config.chunk
            decay = jnp.exp2(jnp.where(seen, cum - self.sums[h : h + 1], MASKED))
            attention[r : r + 32] = (scores[TILE + r : TILE + r + 32] * decay).astype(jnp.bfloat16)
            system = scores[r : r + 32] * decay * beta
            diagonal = jnp.where(block == r // BASE, system[:BASE], diagonal)
            diagonal = jnp.where(block == r // BASE + 1, system[BASE:], diagonal)
            small = jnp.where(block == r // BASE, system[BASE:], small)
            if r == 32:
                wide = system
            elif r == 96:
                wide = jnp.where(lane < HALF, wide, system)
            if r >= HALF and self.config.chunk == TILE:
                high, low = halves(system)
                beside = jnp.where(lane < HALF, high, pltpu.roll(low, HALF, 1))
                corner[r - HALF : r - 32] = beside.astype(jnp.bfloat16)
        strict = iota((BASE, TILE), 1) % BASE < iota((BASE, TILE), 0)
        self.ref["diagonal"][pl.ds(h * BASE, BASE), :] = jnp.where(strict, diagonal, 0.0)
        self.part("joins", h)[...] = jnp.concatenate([*split(small), *split(wide)], axis=0)

    def invert(self, h: int) -> Generator:
        """From inverted 16-row blocks to [high | low] of the two 64-row ones."""
        joins, inverse = self.part("joins", h), self.part("inverse", h)
        blocks = self.ref["diagonal"][pl.ds(h * BASE, BASE), :]
        blocks = yield from join(blocks, joins[: 2 * BASE], self.config.depth)
        blocks = yield from join(blocks, joins[2 * BASE :], self.config.depth)
        high, low = halves(blocks)
        left = iota((HALF, TILE), 1) < HALF
        inverse[:HALF] = jnp.where(left, high, pltpu.roll(low, HALF, 1)).astype(jnp.bfloat16)
        inverse[HALF:] = jnp.where(left, pltpu.roll(high, HALF, 1), low).astype(jnp.bfloat16)

    def advance(self, h: int) -> Generator:
        """Walk the tile's chunks with the state; returns the output [128,V] in float32."""
        both, v, inverse = self.ref["both"].at[h], head_of_words(self.ref["v"], h), self.part("inverse", h)
        state, updates, read = self.ref["state"][h], [], []
        sums, betas = (jnp.tile(x, (1, state.shape[1] // TILE)) for x in self.columns(h))
        for start in range(0, TILE, self.config.chunk):
            rows, of_q = (slice(at, at + self.config.chunk) for at in (start, TILE + start))
            from_state = dot(jnp.concatenate([both[rows], both[of_q]], axis=0), state.astype(jnp.bfloat16))
            yield
            cum, beta = sums[rows], betas[rows]
            gamma, total = jnp.exp2(cum), cum[self.config.chunk - 1 :]
            right = beta * (v[rows] - gamma * from_state[: self.config.chunk])
            read.append(gamma * from_state[self.config.chunk :])
            updates.append(dot_halves(inverse[start : start + HALF], right[:HALF]))
            yield
            if self.config.chunk == TILE:
                second = right[HALF:] - dot_halves(self.part("corner", h)[...], updates[0])
                yield
                updates.append(dot_halves(inverse[HALF:], second))
                yield
            update = jnp.concatenate(updates[start // HALF :], axis=0)
            decayed = (jnp.exp2(total - cum) * update).astype(jnp.bfloat16)
            state = jnp.exp2(total) * state + t_dot(both[rows], decayed)
        self.ref["state"][h] = state
        update = jnp.concatenate(updates, axis=0)
        if "update" in self.ref:
            self.part("update", h)[...] = jnp.concatenate(split(update), axis=0)
        inside = dot(self.part("attention", h)[...], update.astype(jnp.bfloat16))
        yield
        return self.scale * (jnp.concatenate(read, axis=0) + inside)


def words_of(ref):
    """A bfloat16 block [1,T,heads,D] as int32 [T * heads / 2, D]: a word holds two neighbouring heads."""
    _, T, heads, width = ref.shape
    return ref.reshape(T * heads, width).bitcast(jnp.int32)


def head_of_words(ref, h: int) -> jax.Array:
    """Head h [T,D] in float32 of a bfloat16 block [1,T,heads,D]."""
    words = words_of(ref)[pl.ds(h // 2, ref.shape[1], ref.shape[2] // 2), :]
    return pltpu.bitcast(words & jnp.int32(UPPER_HALF) if h % 2 else words << 16, jnp.float32)


def pair(even: jax.Array, odd: jax.Array) -> jax.Array:
    """Two float32 arrays as words that hold both in bfloat16."""
    low, high = (pltpu.bitcast(x.astype(jnp.bfloat16).astype(jnp.float32), jnp.int32) for x in (even, odd))
    return jax.lax.shift_right_logical(low, 16) | high


def running_sums(g: jax.Array, beta: jax.Array, chunk: int) -> tuple[jax.Array, jax.Array]:
    """From [heads,128] rows: the running sum of g / ln 2 inside each chunk, and its parts and those of beta."""
    row, column = iota((TILE, TILE), 0), iota((TILE, TILE), 1)
    cum = dot_exact(g * LOG2_E, (row <= column) & (row // chunk == column // chunk))
    high, rest = halves(cum)
    return cum, jnp.concatenate([high, *halves(rest), *halves(beta)], axis=0).T.astype(jnp.bfloat16)


def dot_exact(x: jax.Array, ones: jax.Array) -> jax.Array:
    """x [n,128] times zeros and ones, with all bits of x: there is no cumsum here, and its sums enter exponents."""
    high, rest = halves(x)
    parts = jnp.concatenate([high, *halves(rest)], axis=0).astype(jnp.bfloat16)
    n, sums = x.shape[0], dot(parts, jnp.where(ones, 1.0, 0.0).astype(jnp.bfloat16))
    return sums[:n] + (sums[n : 2 * n] + sums[2 * n :])


def side_by_side(problems: list[Generator]) -> list:
    """Write independent problems phase by phase, not one after the other, and return their results.

    The compiler schedules in a window round the program order. Each problem is straight code that yields where it
    would wait, and the work that fills the wait has to stand there.
    """
    results, running = {}, dict(enumerate(problems))
    while running:
        for index, problem in list(running.items()):
            try:
                next(problem)
            except StopIteration as stop:
                results[index] = stop.value
                del running[index]
    return [results[index] for index in range(len(problems))]


def substitute(diagonal, heads: int) -> None:
    """Invert I + all 16-row diagonal blocks in place: [heads * 16, 128] with a head's eight blocks side by side.

    Row i of eight heads is one register: a step spreads a coefficient over its block's lanes, multiplies, subtracts.
    """
    lane = iota((heads, TILE), 1)
    solved = []
    for i in range(BASE):
        factors = diagonal[pl.ds(i, heads, BASE), :]
        row = jnp.where(lane % BASE == i, 1.0, 0.0)
        for j in range(i):
            at = lane - lane % BASE + j
            row = row - jnp.take_along_axis(factors, at, axis=1, mode="promise_in_bounds") * solved[j]
        solved.append(row)
    for i in range(BASE):
        diagonal[pl.ds(i, heads, BASE), :] = solved[i]


def join(blocks: jax.Array, between: jax.Array, depth: int) -> Generator:
    """Inverted blocks [s,128], side by side, to blocks of twice the rows [2s,128].

    Neighbours A and B with S below A and left of B join as -B S A; `between` [2s,128] holds S in two parts, in A's
    lanes. Every intermediate is a piece of the true inverse, whose entries stay small for any keys; powers of the
    system (the Neumann series) reach 1e20 and more for correlated keys and cancel catastrophically in any precision.
    """
    s = blocks.shape[0]
    high, low = split(blocks)
    above = three_passes(between, spread(high, 0), spread(low, 0), depth)
    yield
    new = three_passes(jnp.concatenate([high, low], axis=0), *(spread(part, 1) for part in split(above)), depth)
    yield
    even = iota((s, TILE), 1) // s % 2 == 0
    return jnp.concatenate([jnp.where(even, blocks, 0.0), jnp.where(even, -new, blocks)], axis=0)


@functools.partial(jax.jit, static_argnums=3)
def three_passes(parts: jax.Array, high: jax.Array, low: jax.Array, depth: int) -> jax.Array:
    """(parts[:s] + parts[s:]) (high + low) without the product of the two low parts, which is below the rounding."""
    s = parts.shape[0] // 2
    if depth == 2 * TILE:
        beside = jnp.concatenate([parts[:s], jnp.zeros_like(parts[s:])], axis=0)
        both = dot(jnp.concatenate([parts, beside], axis=1), jnp.concatenate([high, low], axis=0))
        return both[:s] + both[s:]
    both = dot(parts, high)
    return both[:s] + both[s:] + dot(parts[:s], low)


@functools.partial(jax.jit, static_argnums=1)
def spread(blocks: jax.Array, below: int) -> jax.Array:
    """[s,128], blocks side by side, as [128,128]: the even ones on the diagonal, or one block below it."""
    s = blocks.shape[0]
    wide = jnp.concatenate([blocks.astype(jnp.float32)] * (TILE // s), axis=0)
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


@jax.jit  # traced once for all heads; the compiler gets the same program
def split(x: jax.Array) -> list[jax.Array]:
    """Two bfloat16 parts whose sum is x to 16 bits."""
    return [part.astype(jnp.bfloat16) for part in halves(x)]


def _contract(axis_a: int, axis_b: int, a: jax.Array, b: jax.Array) -> jax.Array:
    return jax.lax.dot_general(a, b, (((axis_a,), (axis_b,)), ((), ())), preferred_element_type=jnp.float32)


dot, dot_t, t_dot = (functools.partial(_contract, *axes) for axes in ((1, 0), (1, 1), (0, 0)))  # A B, A B^T, A^T B
iota = functools.partial(jax.lax.broadcasted_iota, jnp.int32)  # of shape and axis
