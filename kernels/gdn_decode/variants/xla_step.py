"""One decode step in plain JAX: products and sums that the compiler fuses into few passes over the state.

Everything is float32 arithmetic on the vector unit: with one token there is no matmul worth the name, and a product
on the matrix unit would round the state to bfloat16 unless told otherwise.
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    """Nothing to choose: the compiler decides how to fuse."""


def run(q, k, v, g, beta, state, *, config: Config) -> tuple[jax.Array, jax.Array]:
    """Return o [N,H,V] in v's dtype and the new state [N,H,K,V] in float32."""
    del config
    group = v.shape[1] // k.shape[1]
    q, k = (jnp.repeat(array.astype(jnp.float32), group, axis=1)[..., None] for array in (q, k))
    state = jnp.exp(g)[..., None, None] * state
    wrong = v.astype(jnp.float32) - (k * state).sum(-2)
    state = state + k * (beta[..., None] * wrong)[..., None, :]
    o = (q * state).sum(-2) * q.shape[-2] ** -0.5
    return o.astype(v.dtype), state
