"""The rule token by token: slow, differentiable, in float64 if its inputs are. What everything else is held to."""

import jax
import jax.numpy as jnp


def recurrent(q, k, v, g, beta, initial, cu_seqlens, scale: float) -> tuple[jax.Array, jax.Array]:
    """(o [B,T,H,V], final [N,H,K,V]) in the widest of the inputs' dtypes and float32; see `gated_delta_rule`."""
    dtype = jnp.result_type(jnp.float32, *(x.dtype for x in (q, k, v, g, beta, initial)))
    by_time = [jnp.moveaxis(x.astype(dtype), 1, 0) for x in (q, k, v, g, beta)]
    initial = initial.astype(dtype)
    if cu_seqlens is None:
        final, o = jax.lax.scan(lambda state, token: _step(state, token, scale), initial, by_time)
        return jnp.moveaxis(o, 0, 1), final

    times = jnp.arange(v.shape[1])
    owner = jnp.minimum(jnp.searchsorted(cu_seqlens[1:], times, side="right"), initial.shape[0] - 1)

    def step(states, inputs):
        sequence, token = inputs
        state, o = _step(states[sequence][None], token, scale)
        return states.at[sequence].set(state[0]), o

    final, o = jax.lax.scan(step, initial, (owner, by_time))
    return jnp.moveaxis(o, 0, 1), final


def _step(state, token, scale: float):
    """One token of [B,H] states: forget, correct, read."""
    q, k, v, g, beta = token
    state = jnp.exp(g)[..., None, None] * state
    wrong = v - _exact("bhk,bhkv->bhv", k, state)
    state = state + k[..., :, None] * (beta[..., None] * wrong)[..., None, :]
    return state, scale * _exact("bhk,bhkv->bhv", q, state)


def _exact(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.einsum(subscripts, a, b, precision=jax.lax.Precision.HIGHEST)
