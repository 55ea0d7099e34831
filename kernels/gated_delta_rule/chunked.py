"""The rule chunk by chunk in plain JAX: runs and differentiates anywhere, in matmuls instead of a loop over tokens."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Product = Callable[[str, jax.Array, jax.Array], jax.Array]


def chunked(q, k, v, g, beta, initial, plan, chunk: int, scale: float, precision: str):
    """(o, final); T is a multiple of `chunk`, a power of two. With `plan` [3,n] B is 1, see `Packing`.

    precision: `highest` keeps float32 (or wider inputs) everywhere; `mixed` rounds operands of products with the
    state to bfloat16; `fast` rounds those of the products inside a chunk too, but never the triangular inverse.
    """
    B, T, H, _ = q.shape
    n = T // chunk
    dtype = jnp.result_type(jnp.float32, *(x.dtype for x in (q, k, v, g, beta, initial)))
    # [chunks, B, H, C, ...]: the scan's axis first, the matmuls' two axes last
    chunks = [
        jnp.moveaxis(x.astype(dtype).reshape(B, n, chunk, H, -1), (1, 3), (0, 2)) for x in (q, k, v, g, beta)
    ]
    inside = _rounded if precision == "fast" else _exact
    with_state = _exact if precision == "highest" else _rounded

    def step(carry, inputs):
        states, final = carry
        flags, chunk_inputs = inputs
        if plan is not None:
            states = jnp.where(flags[1] == 1, initial[flags[0]][None], states)
        o, states = _chunk(chunk_inputs, states, inside, with_state)
        if plan is not None:
            final = final.at[flags[0]].set(jnp.where(flags[2] == 1, states[0], final[flags[0]]))
        return (states, final), scale * o

    initial = initial.astype(dtype)
    start = initial if plan is None else jnp.zeros_like(initial[:1])
    flags = jnp.zeros((n, 3), jnp.int32) if plan is None else plan.T
    (states, final), o = jax.lax.scan(step, (start, initial), (flags, tuple(chunks)))
    o = jnp.moveaxis(o, (0, 2), (1, 3)).reshape(B, T, H, v.shape[-1])
    return o, states if plan is None else final


def _chunk(inputs, state, inside, with_state):
    """One chunk [B,H,C,...]: output without scale, and the state after it."""
    q, k, v, g, beta = inputs
    C = q.shape[-2]
    row, column = jnp.arange(C)[:, None], jnp.arange(C)[None, :]
    cum = jnp.cumsum(g, axis=-2)
    # the mask comes before the exponential: above the diagonal it would overflow, and its gradient be NaN
    decay = jnp.exp(jnp.where(row >= column, cum - cum.swapaxes(-1, -2), -jnp.inf))
    system = jnp.where(row > column, _exact("...ik,...jk->...ij", k, k) * decay * beta, 0.0)
    right = beta * (v - jnp.exp(cum) * with_state("...ck,...kv->...cv", k, state))
    update = inside("...ij,...jv->...iv", unit_lower_inverse(system), right)
    attention = inside("...ik,...jk->...ij", q, k) * decay
    o = jnp.exp(cum) * with_state("...ck,...kv->...cv", q, state) + inside("...ij,...jv->...iv", attention, update)
    tail, total = jnp.exp(cum[..., -1:, :] - cum), jnp.exp(cum[..., -1:, :])
    return o, total * state + with_state("...ck,...cv->...kv", k, tail * update)


def _exact(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.einsum(subscripts, a, b, precision=jax.lax.Precision.HIGHEST)


def unit_lower_inverse(strict: jax.Array, product: Product = _exact) -> jax.Array:
    """(I + strict)^-1 for strictly lower [...,C,C], C a power of two, by doubling inverted diagonal blocks.

    Two neighbouring inverted blocks A and B join with the block S below A as -B S A; every intermediate is a piece
    of the true inverse. Powers of the matrix (the Neumann series) explode for correlated keys.
    """
    C = strict.shape[-1]
    row, column = jnp.arange(C)[:, None], jnp.arange(C)[None, :]
    inverse = jnp.broadcast_to(jnp.eye(C, dtype=strict.dtype), strict.shape)
    size = 1
    while size < C:
        joins = (row // size % 2 == 1) & (column // size == row // size - 1)
        below = product("...ij,...jk->...ik", jnp.where(joins, strict, 0.0), inverse)
        inverse = inverse - product("...ij,...jk->...ik", inverse, below)
        size *= 2
    return inverse


def _rounded(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """bfloat16 operands, float32 sums."""
    wide = jnp.promote_types(a.dtype, jnp.float32)
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    return jnp.einsum(subscripts, a, b, preferred_element_type=jnp.float32).astype(wide)
