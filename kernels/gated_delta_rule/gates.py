"""What a model computes before the rule: gates from projections, unit-length keys, key heads for every value head."""

import jax
import jax.numpy as jnp

NORM_EPSILON = 1e-6


def gdn_gates(a: jax.Array, b: jax.Array, A_log: jax.Array, dt_bias: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(g, beta) [..., H] in float32 from projections a, b [..., H] and parameters A_log, dt_bias [H].

    g = -exp(A_log) softplus(a + dt_bias) is the natural logarithm of a token's decay; beta = sigmoid(b).
    """
    wide = (x.astype(jnp.float32) for x in (a, b, A_log, dt_bias))
    a, b, A_log, dt_bias = wide
    return -jnp.exp(A_log) * jax.nn.softplus(a + dt_bias), jax.nn.sigmoid(b)


def unit_length(x: jax.Array) -> jax.Array:
    """x over the root of its summed squares along the last axis, computed in float32, in x's dtype."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (wide * jax.lax.rsqrt((wide * wide).sum(-1, keepdims=True) + NORM_EPSILON)).astype(x.dtype)


def per_value_head(x: jax.Array, heads: int, axis: int) -> jax.Array:
    """Key heads repeated so that value head h reads key head h // (heads / key heads)."""
    return jnp.repeat(x, heads // x.shape[axis], axis=axis)
