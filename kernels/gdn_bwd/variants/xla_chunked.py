"""Gated DeltaNet backward in plain JAX: chunk by chunk, in closed form, what a good engineer writes first.

A forward scan computes the state at the start of every chunk again; a scan in the other direction carries the
gradient of the state. With G the running sum of g in a chunk, D_ij = exp(G_i - G_j) for i >= j and T the inverse of
I + strict_lower(diag(beta) (D * K K^T)), the triangular inverse needs no derivative of its own, and the gradient of
G needs no row or column sums of C by C matrices (see `_chunk_backward`). Products inside a chunk keep float32, those
with the state take bfloat16 operands.
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    """chunk: tokens solved at once; 128 fill the lanes, so nothing is padded in HBM."""

    chunk: int = 128


def run(q, k, v, g, beta, do, *, config: Config) -> tuple[jax.Array, ...]:
    """Return dq, dk [B,T,H,K], dv [B,T,H,V] in their inputs' dtype and dg, dbeta [B,T,H] in float32."""
    B, T, H, K = q.shape
    C = config.chunk
    missing = -T % C
    if missing:  # beta = 0, g = 0 and k = v = 0 leave the state alone, do = 0 asks for nothing
        q, k, v, g, beta, do = (
            jnp.pad(x, [(0, 0), (0, missing)] + [(0, 0)] * (x.ndim - 2)) for x in (q, k, v, g, beta, do)
        )
    n = (T + missing) // C
    # [chunks, B, H, C, ...]: the scans' axis first, the matmuls' two axes last.
    q, k, v, do = (x.reshape(B, n, C, H, -1).transpose(1, 0, 3, 2, 4).astype(jnp.float32) for x in (q, k, v, do))
    g, beta = (x.reshape(B, n, C, H).transpose(1, 0, 3, 2)[..., None] for x in (g, beta))
    do = do * K**-0.5

    cum = jnp.cumsum(g, axis=-2)
    row, column = jnp.arange(C)[:, None], jnp.arange(C)[None, :]
    decay = jnp.exp(jnp.where(row >= column, cum - cum.swapaxes(-1, -2), -jnp.inf))
    system = jnp.where(row > column, _precise("...ik,...jk->...ij", k, k) * decay * beta, 0.0)
    inverse = _inverse(system)
    attention = _precise("...ik,...jk->...ij", q, k) * decay

    def forward(state, chunk):
        k, v, beta, cum, inverse = chunk
        right = beta * (v - jnp.exp(cum) * _rounded("...ck,...kv->...cv", k, state))
        update = _precise("...ij,...jv->...iv", inverse, right)
        tail = jnp.exp(cum[..., -1:, :] - cum)
        after = jnp.exp(cum[..., -1:, :]) * state + _rounded("...ck,...cv->...kv", k, tail * update)
        return after, (state, update)

    start = jnp.zeros((B, H, K, v.shape[-1]), jnp.float32)
    _, (states, updates) = jax.lax.scan(forward, start, (k, v, beta, cum, inverse))
    chunks = (q, k, v, beta, do, cum, decay, inverse, attention, states, updates)
    _, gradients = jax.lax.scan(_chunk_backward, start, chunks, reverse=True)
    dq, dk, dv, dg, dbeta = (x.transpose(1, 0, 3, 2, 4).reshape(B, n * C, H, -1)[:, :T] for x in gradients)
    return *(x.astype(jnp.bfloat16) for x in (dq, dk, dv)), dg[..., 0], dbeta[..., 0]


def _chunk_backward(d_after, chunk):
    """Gradients of one chunk from that of the state after it; returns the gradient of the state before it."""
    q, k, v, beta, do, cum, decay, inverse, attention, state, update = chunk
    C = q.shape[-2]
    row, column = jnp.arange(C)[:, None], jnp.arange(C)[None, :]
    gamma, total = jnp.exp(cum), jnp.exp(cum[..., -1:, :])
    tail = jnp.exp(cum[..., -1:, :] - cum)

    d_update = _precise("...ij,...iv->...jv", attention, do) + _rounded("...ck,...kv->...cv", tail * k, d_after)
    d_right = _precise("...ij,...iv->...jv", inverse, d_update)
    d_system = jnp.where(row > column, -_precise("...iv,...jv->...ij", d_right, update) * decay, 0.0)
    d_scores = jnp.where(row >= column, _precise("...iv,...jv->...ij", do, update) * decay, 0.0)
    d_written = _rounded("...cv,...kv->...ck", update, d_after)

    dq = gamma * _rounded("...cv,...kv->...ck", do, state) + _precise("...ij,...jk->...ik", d_scores, k)
    d_beta_k = -gamma * _rounded("...cv,...kv->...ck", d_right, state) + _precise(
        "...ij,...jk->...ik", d_system, k
    )
    dk = (
        _precise("...ij,...ik->...jk", d_scores, q)
        + _precise("...ij,...ik->...jk", d_system, beta * k)
        + beta * d_beta_k
        + tail * d_written
    )
    dbeta = (d_right * v).sum(-1, keepdims=True) + (d_beta_k * k).sum(-1, keepdims=True)
    d_cum = (q * dq - k * dk + 2 * beta * k * d_beta_k).sum(-1, keepdims=True)
    at_end = total * (d_after * state).sum((-2, -1), keepdims=True)
    at_end += (tail * k * d_written).sum((-2, -1), keepdims=True)
    d_cum = d_cum.at[..., -1:, :].add(at_end)
    dg = jnp.flip(jnp.cumsum(jnp.flip(d_cum, -2), axis=-2), -2)
    d_before = total * d_after + _rounded("...ck,...cv->...kv", gamma * q, do)
    d_before = d_before - _rounded("...ck,...cv->...kv", beta * gamma * k, d_right)
    return d_before, (dq, dk, beta * d_right, dg, dbeta)


def _inverse(strict: jax.Array) -> jax.Array:
    """(I + strict)^-1 for strictly lower [..., C, C], C a power of two, by doubling inverted diagonal blocks.

    Two neighbouring inverted blocks A and B join with the block S below A as -B S A; every intermediate is a piece of
    the true inverse. The compiler's own triangular solve is a loop over rows: slower, and a minute to compile.
    """
    C = strict.shape[-1]
    row, column = jnp.arange(C)[:, None], jnp.arange(C)[None, :]
    inverse = jnp.broadcast_to(jnp.eye(C), strict.shape)
    size = 1
    while size < C:
        joins = (row // size % 2 == 1) & (column // size == row // size - 1)
        below = _precise("...ij,...jk->...ik", jnp.where(joins, strict, 0.0), inverse)
        inverse = inverse - _precise("...ij,...jk->...ik", inverse, below)
        size *= 2
    return inverse


def _precise(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """float32 operands to about 16 bits: three bfloat16 passes."""
    return jnp.einsum(subscripts, a, b, precision=jax.lax.Precision.HIGH)


def _rounded(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """bfloat16 operands, float32 result."""
    return jnp.einsum(
        subscripts, a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32
    )
