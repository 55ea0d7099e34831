"""Gated DeltaNet forward in plain JAX: what a good engineer writes before reaching for Pallas.

All work that needs no state (the triangular solves and the two products with the inverse) is done for every chunk
at once in large batched matmuls; a scan then carries the state over the chunks. The triangular system is solved by
substitution, which keeps its accuracy when keys are correlated. Matmuls take bfloat16 operands and accumulate in
float32, the usual choice on this hardware; the triangular solve stays in float32.
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    """chunk: tokens solved at once; 128 fill the lanes, so nothing is padded in HBM."""

    chunk: int = 128


def run(q, k, v, g, beta, *, config: Config) -> tuple[jax.Array, jax.Array]:
    """Return o [B,T,H,V] in v's dtype and final_state [B,H,K,V] in float32."""
    B, T, H, K = q.shape
    V, C = v.shape[-1], config.chunk
    missing = -T % C
    if missing:  # beta = 0, g = 0 and k = v = 0 leave the state alone
        q, k, v, g, beta = (
            jnp.pad(x, [(0, 0), (0, missing)] + [(0, 0)] * (x.ndim - 2)) for x in (q, k, v, g, beta)
        )
    n = (T + missing) // C
    # [chunks, B, H, C, ...]: the scan's axis first, the matmuls' two axes last.
    q, k, v = (x.reshape(B, n, C, H, -1).transpose(1, 0, 3, 2, 4) for x in (q, k, v))
    g, beta = (x.reshape(B, n, C, H).transpose(1, 0, 3, 2) for x in (g, beta))

    cum = jnp.cumsum(g, axis=-1)
    row, column = jnp.arange(C)[:, None], jnp.arange(C)[None, :]
    decay = jnp.exp(jnp.where(row >= column, cum[..., :, None] - cum[..., None, :], -jnp.inf))
    gamma = jnp.exp(cum)[..., None]
    tail = jnp.exp(cum[..., -1:] - cum)[..., None]
    total = jnp.exp(cum[..., -1])[..., None, None]

    system = jnp.where(row > column, _matmul("...ik,...jk->...ij", k, k) * decay * beta[..., None], 0.0)
    values, keys = v.astype(jnp.float32), k.astype(jnp.float32)
    right = beta[..., None] * jnp.concatenate([values, gamma * keys], axis=-1)
    solved = jax.scipy.linalg.solve_triangular(system + jnp.eye(C), right, lower=True, unit_diagonal=True)
    fresh, erase = solved[..., :V], solved[..., V:].astype(jnp.bfloat16)
    attention = (_matmul("...ik,...jk->...ij", q, k) * decay).astype(jnp.bfloat16)
    reading = (gamma * q.astype(jnp.float32)).astype(jnp.bfloat16)
    writing = (tail * keys).astype(jnp.bfloat16)

    def step(state, chunk):
        reading, writing, fresh, erase, attention, total = chunk
        rounded = state.astype(jnp.bfloat16)
        update = (fresh - _matmul("bhck,bhkv->bhcv", erase, rounded)).astype(jnp.bfloat16)
        o = _matmul("bhck,bhkv->bhcv", reading, rounded) + _matmul("bhij,bhjv->bhiv", attention, update)
        state = total * state + _matmul("bhck,bhcv->bhkv", writing, update)
        return state, (o * K**-0.5).astype(jnp.bfloat16)

    start = jnp.zeros((B, H, K, V), jnp.float32)
    final_state, o = jax.lax.scan(step, start, (reading, writing, fresh, erase, attention, total))
    o = o.transpose(1, 0, 3, 2, 4).reshape(B, n * C, H, V)[:, :T]
    return o, final_state


def _matmul(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """bfloat16 operands, float32 result."""
    return jnp.einsum(subscripts, a, b, preferred_element_type=jnp.float32)
