"""The forward pass for GPUs: two Pallas kernels for Triton, one parallel over chunks, one that walks with the state.

With the names of `chunked`: the first inverts every chunk's system, for all chunks at once, and writes it in float32.
The second has a program for each sequence, head and slice of the state's columns, which are independent of each other;
it keeps its slice of the state in registers and loops over the sequence's chunks. Key heads are picked by the index
maps, so nothing is repeated for the value heads that share them. Triton has no scratch and takes sizes that are
powers of two.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from gated_delta_rule.backward import backward_by_xla
from gated_delta_rule.chunked import unit_lower_inverse

MASKED = -1e30  # exponent of a masked entry: exp gives exactly 0
UPPER_HALF = -65536  # the bits of a float32 that a bfloat16 keeps
SMALLEST = 16  # rows and columns that a product needs
COLUMNS = 64  # of the state in one program: 128 x 64 of float32 are a quarter of a processor's registers


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def fused_gpu(chunk: int, scale: float, inputs, initial, plan):
    """(o [B,T,Hv,V], final [N,Hv,K,V]) of bfloat16 q, k, v and float32 g, beta; `plan` as in `Packing`, or None."""
    q, k, v, *gates = inputs
    B, T, heads, V = v.shape
    K = k.shape[-1]
    chunks = pl.cdiv(T, chunk)

    def in_a_row(x, *width):
        x = jnp.pad(x, [(0, 0), (0, chunks * chunk - T)] + [(0, 0)] * (x.ndim - 2))
        return _power_of_two(x.reshape(B * chunks * chunk, *x.shape[2:]), *width)

    q, k, v = (in_a_row(x, -1) for x in (q, k, v))
    g, beta = (in_a_row(x) for x in gates)
    inverse = _invert(k, g, beta, chunk)
    starts = jnp.arange(B, dtype=jnp.int32) * chunks
    bounds = jnp.stack([starts, starts + chunks]) if plan is None else _bounds(plan, initial.shape[0])
    o, final = _walk(bounds, q, k, v, g, beta, inverse, _power_of_two(initial, -1, -2), chunk, scale)
    return o.reshape(B, chunks * chunk, heads, -1)[:, :T, :, :V], final[:, :, :K, :V]


def _power_of_two(x: jax.Array, *axes: int) -> jax.Array:
    """Zeros behind these axes, up to the next power of two."""
    missing = [(0, 0)] * x.ndim
    for axis in axes:
        missing[axis] = (0, max(SMALLEST, pl.next_power_of_2(x.shape[axis])) - x.shape[axis])
    return jnp.pad(x, missing) if any(after for _, after in missing) else x


def _bounds(plan: jax.Array, sequences: int) -> jax.Array:
    """[2,N]: the first chunk of each sequence and the one behind its last; twice 0 if it has none."""
    owner, first, last = plan
    index, none = jnp.arange(plan.shape[1], dtype=jnp.int32), jnp.zeros(sequences, jnp.int32)
    return jnp.stack([none.at[owner].add(first * index), none.at[owner].add(last * (index + 1))])


def _invert(k, g, beta, chunk: int) -> jax.Array:
    """[R,H,C] float32: each row of (I + M)^-1, where its token stands."""
    R, heads = g.shape
    group = heads // k.shape[1]
    gate = pl.BlockSpec((chunk, None), lambda n, h: (n, h))
    return pl.pallas_call(
        _invert_kernel,
        grid=(R // chunk, heads),
        in_specs=[pl.BlockSpec((chunk, None, k.shape[2]), lambda n, h: (n, h // group, 0)), gate, gate],
        out_specs=pl.BlockSpec((chunk, None, chunk), lambda n, h: (n, h, 0)),
        out_shape=jax.ShapeDtypeStruct((R, heads, chunk), jnp.float32),
        compiler_params=triton.CompilerParams(num_warps=4, num_stages=1),
        name="gdn_gpu_invert",
    )(k, g, beta)


def _invert_kernel(k_ref, g_ref, beta_ref, inverse_ref):
    k, beta = k_ref[...], beta_ref[...]
    decay, below = _decay(jnp.cumsum(g_ref[...]))
    system = jnp.where(below, _dot_t(k, k) * decay * beta[:, None], 0.0)
    inverse_ref[...] = unit_lower_inverse(system, _three_passes)


def _walk(bounds, q, k, v, g, beta, inverse, initial, chunk: int, scale: float) -> tuple[jax.Array, jax.Array]:
    R, heads, V = v.shape
    N, _, K, _ = initial.shape
    group, columns = heads // k.shape[1], min(COLUMNS, V)
    key = pl.BlockSpec((R, None, K), lambda n, h, c: (0, h // group, 0))
    value = pl.BlockSpec((R, None, columns), lambda n, h, c: (0, h, c))
    gate = pl.BlockSpec((R, None), lambda n, h, c: (0, h))
    state = pl.BlockSpec((None, None, K, columns), lambda n, h, c: (n, h, 0, c))
    return pl.pallas_call(
        functools.partial(_walk_kernel, chunk=chunk, scale=scale),
        grid=(N, heads, V // columns),
        in_specs=[
            pl.BlockSpec((2, None), lambda n, h, c: (0, n)),
            *(key, key, value, gate, gate),
            pl.BlockSpec((R, None, chunk), lambda n, h, c: (0, h, 0)),
            state,
        ],
        out_specs=[value, state],
        out_shape=[jax.ShapeDtypeStruct(v.shape, v.dtype), jax.ShapeDtypeStruct(initial.shape, jnp.float32)],
        compiler_params=triton.CompilerParams(num_warps=4, num_stages=2),
        name="gdn_gpu_walk",
    )(bounds, q, k, v, g, beta, inverse, initial)


def _walk_kernel(bounds_ref, *refs, chunk: int, scale: float):
    *tokens, initial_ref, o_ref, final_ref = refs

    def step(index, state):
        rows = pl.ds(index * chunk, chunk)
        q, k, v, g, beta, inverse = (ref[rows] if len(ref.shape) == 1 else ref[rows, :] for ref in tokens)
        cum, total = jnp.cumsum(g), jnp.sum(g)
        gamma, half = jnp.exp(cum)[:, None], state.astype(jnp.bfloat16)
        right = beta[:, None] * (v.astype(jnp.float32) - gamma * _dot(k, half))
        update = _three_passes("...ij,...jk->...ik", inverse, right)
        attention = (_dot_t(q, k) * _decay(cum)[0]).astype(jnp.bfloat16)
        o = gamma * _dot(q, half) + _dot(attention, update.astype(jnp.bfloat16))
        o_ref[rows, :] = (scale * o).astype(o_ref.dtype)
        tail = jnp.exp(total - cum)[:, None]
        return jnp.exp(total) * state + _dot(k.T, (tail * update).astype(jnp.bfloat16))

    final_ref[...] = jax.lax.fori_loop(bounds_ref[0], bounds_ref[1], step, initial_ref[...])


def _decay(cum: jax.Array) -> tuple[jax.Array, jax.Array]:
    """exp(G_i - G_j) for i >= j and else 0; and where i > j. The mask comes before exp, never after."""
    C = cum.shape[0]
    row, column = (jax.lax.broadcasted_iota(jnp.int32, (C, C), axis) for axis in (0, 1))
    return jnp.exp(jnp.where(row >= column, cum[:, None] - cum[None, :], MASKED)), row > column


def _three_passes(_subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """a b of float32 with 16 bits of each: three products of bfloat16 parts."""
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    return _dot(a_high, b_high) + (_dot(a_high, b_low) + _dot(a_low, b_high))


def _split(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two bfloat16 parts; the first is cut off and not rounded, which no compiler takes for a detour."""
    bits = jax.lax.bitcast_convert_type(x, jnp.int32) & jnp.int32(UPPER_HALF)
    high = jax.lax.bitcast_convert_type(bits, jnp.float32)
    return high.astype(jnp.bfloat16), (x - high).astype(jnp.bfloat16)


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.dot(a, b, preferred_element_type=jnp.float32)


def _dot_t(a: jax.Array, b: jax.Array) -> jax.Array:
    return _dot(a, b.T)


def _forward(chunk, scale, inputs, initial, plan):
    return fused_gpu(chunk, scale, inputs, initial, plan), (inputs, initial, plan)


def _backward(chunk, scale, residuals, cotangents):
    return (*backward_by_xla(chunk, scale, *residuals, cotangents), None)


fused_gpu.defvjp(_forward, _backward)
