"""Paged attention in plain JAX: gather every sequence's pages side by side, then attend under a mask.

The gathered copy is as large as the cache, is written and read once more, and always as long as the longest sequence.
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    """Nothing to choose."""


def run(q, k, v, lengths, table, *, config: Config) -> tuple[jax.Array]:
    """Return o [B,H,D] in q's dtype."""
    del config
    B, H, D = q.shape
    Hk = k.shape[0]
    keys, values = (x[:, table].reshape(Hk, B, -1, D) for x in (k, v))
    counts = jnp.arange(keys.shape[2])[None, :] < lengths[:, None]
    grouped = q.reshape(B, Hk, H // Hk, D)
    logits = jnp.einsum("bngd,nbtd->bngt", grouped, keys, preferred_element_type=jnp.float32) * D**-0.5
    weights = jax.nn.softmax(jnp.where(counts[:, None, None], logits, -jnp.inf), axis=-1).astype(q.dtype)
    o = jnp.einsum("bngt,nbtd->bngd", weights, values, preferred_element_type=jnp.float32)
    return (o.reshape(B, H, D).astype(q.dtype),)
