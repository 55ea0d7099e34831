"""Causal attention in plain JAX: the definition, a slice of queries at a time.

All S^2 scores of all heads at once would not fit in memory for long sequences; a map over slices of queries keeps
them to one slice.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    """rows: queries of one slice."""

    rows: int = 1024


def run(q, k, v, *, config: Config) -> tuple[jax.Array]:
    """Return o [B,H,S,D] in q's dtype."""
    B, H, S, D = q.shape
    Hk = k.shape[1]
    rows = math.gcd(config.rows, S)
    grouped = q.reshape(B, Hk, H // Hk, S // rows, rows, D).transpose(3, 0, 1, 2, 4, 5)

    def attend(slice_of_queries):
        first, queries = slice_of_queries
        scores = jnp.einsum("bngqd,bnkd->bngqk", queries, k, preferred_element_type=jnp.float32) * D**-0.5
        seen = first + jnp.arange(rows)[:, None] >= jnp.arange(S)[None, :]
        weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1).astype(q.dtype)
        return jnp.einsum("bngqk,bnkd->bngqd", weights, v, preferred_element_type=jnp.float32).astype(q.dtype)

    o = jax.lax.map(attend, (jnp.arange(S // rows) * rows, grouped))
    return (o.transpose(1, 2, 3, 0, 4, 5).reshape(B, H, S, D),)
