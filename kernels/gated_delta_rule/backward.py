"""The backward pass of the fused kernels where they have none of their own: that of the chunks in plain JAX."""

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from gated_delta_rule.chunked import chunked
from gated_delta_rule.gates import per_value_head


def backward_by_xla(chunk: int, scale: float, inputs, initial, plan, cotangents):
    """Gradients of `inputs` (q, k, v, g, beta) and of `initial`, None if that is None.

    chunk: also that of `plan`, if there is one. cotangents: of o [B,T,Hv,V] and of the final state, arrays or zeros.
    """
    k, v = inputs[1:3]
    B, T, heads, V = v.shape
    start = jnp.zeros((B, heads, k.shape[-1], V), jnp.float32) if initial is None else initial

    def forward(inputs, start):
        each = [per_value_head(x, heads, 2) for x in inputs[:2]]
        padded = [jnp.pad(x, [(0, 0), (0, -T % chunk)] + [(0, 0)] * (x.ndim - 2)) for x in (*each, *inputs[2:])]
        o, final = chunked(*padded, start, plan, chunk, scale, "mixed")
        return o[:, :T].astype(v.dtype), final

    outputs, pull = jax.vjp(forward, inputs, start)
    given = [
        jnp.zeros(x.shape, out.dtype) if isinstance(x, SymbolicZero) else x.astype(out.dtype)
        for x, out in zip(cotangents, outputs, strict=True)
    ]
    d_inputs, d_start = pull(tuple(given))
    return d_inputs, None if initial is None else d_start
