"""One token of every sequence: the batched decode step."""

import jax

from gated_delta_rule.fused import variant
from gated_delta_rule.gates import per_value_head, unit_length


def gated_delta_rule_decode(
    q, k, v, g, beta, state, *, scale=None, use_qk_l2norm=False, implementation="auto"
) -> tuple[jax.Array, jax.Array]:
    """(o [N,Hv,V] in v's dtype, state after the token [N,Hv,K,V] float32).

    q, k [N,Hk,K], v [N,Hv,V] with Hv a multiple of Hk, g, beta [N,Hv], state [N,Hv,K,V] float32; meanings as in
    `gated_delta_rule`. implementation: `xla` (anywhere), `pallas` (TPU; K and V multiples of 128, Hv of 8), `auto`.
    """
    if implementation not in ("auto", "xla", "pallas"):
        raise ValueError(f"implementation={implementation!r}: auto, xla or pallas")
    if use_qk_l2norm:
        q, k = unit_length(q), unit_length(k)
    heads, K = v.shape[1], k.shape[-1]
    if scale is not None:
        q = q * (scale * K**0.5)  # the step itself scales by K^(-1/2)
    fits = K % 128 == 0 and v.shape[-1] % 128 == 0 and heads % 8 == 0
    if implementation == "auto":
        implementation = "pallas" if fits and jax.default_backend() == "tpu" else "xla"
    q, k = (per_value_head(x, heads, 1) for x in (q, k))
    module = variant("gdn_decode", "pallas_step" if implementation == "pallas" else "xla_step")
    return module.run(q, k, v, g, beta, state, config=module.Config())
