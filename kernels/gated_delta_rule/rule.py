"""The public function: checks what it is given, prepares it, and hands it to one of three implementations."""

import jax
import jax.numpy as jnp

from gated_delta_rule.chunked import chunked
from gated_delta_rule.fused import TILE, fused
from gated_delta_rule.gates import per_value_head, unit_length
from gated_delta_rule.packing import Packing
from gated_delta_rule.recurrent import recurrent

IMPLEMENTATIONS = ("auto", "recurrent", "xla_chunked", "pallas")
PRECISIONS = ("highest", "mixed", "fast")
SAVE_POLICIES = ("auto", "none", "state")


def gated_delta_rule(
    q,
    k,
    v,
    g,
    beta,
    *,
    initial_state=None,
    cu_seqlens=None,
    chunk_size=None,
    scale=None,
    use_qk_l2norm=False,
    precision="mixed",
    save_policy="auto",
    implementation="auto",
) -> tuple[jax.Array, jax.Array]:
    """(o [B,T,Hv,V] in v's dtype, final_state [N,Hv,K,V]); differentiable in every array but cu_seqlens.

    Per sequence and value head, with a state S [K,V]: S <- e^g S; S <- S + k (beta (v - S^T k))^T; o = scale S^T q.

    q, k [B,T,Hk,K], v [B,T,Hv,V]: float32 or bfloat16, Hv a multiple of Hk; value head h reads key head h // (Hv/Hk).
    g [B,T,Hv]: natural logarithm of a token's decay, at most 0. beta [B,T,Hv]: strength of the correction, 0 to 2.
    initial_state [N,Hv,K,V]: zero if not given. N is B, or with cu_seqlens the number of sequences.
    cu_seqlens [N+1]: offsets of sequences packed along T, from 0 to T, not decreasing; B must be 1. May be traced.
    chunk_size: tokens solved at once, a power of two (pallas: 64 or 128). Default 64, pallas 128.
    scale: default K^(-1/2). use_qk_l2norm: divide q and k by their lengths first.
    precision: `highest` (float32 everywhere, not in pallas), `mixed` (products with the state take bfloat16
    operands, the triangular inverse does not), `fast` (only the inverse stays wide; pallas does what mixed does).
    save_policy: what a pallas forward pass keeps for its backward pass: `none` (its inputs; states and inverses are
    computed again, as `auto` does) or `state` (states, inverses and updates in bfloat16 parts, 144 KiB per 128 tokens
    and head). implementation: `recurrent` (a loop over tokens, float64 if the inputs are), `xla_chunked`, `pallas`
    (TPU kernels; q, k, v are rounded to bfloat16), `auto` (pallas on a TPU unless precision is highest).

    A gradient through pallas is a fused kernel where there is no initial state, no cu_seqlens and no gradient of the
    final state, and `xla_chunked`'s otherwise. Raises ValueError for shapes or options that fit none of this.
    """
    _check_options(precision, save_policy, implementation)
    q, k, v, g, beta = (jnp.asarray(x) for x in (q, k, v, g, beta))
    initial_state = None if initial_state is None else jnp.asarray(initial_state)
    _check_shapes(q, k, v, g, beta, initial_state, cu_seqlens)
    if implementation == "auto":
        on_tpu = jax.default_backend() == "tpu" and precision != "highest"
        implementation = "pallas" if on_tpu else "xla_chunked"
    if implementation == "pallas" and precision == "highest":
        raise ValueError("precision='highest' is not what the fused kernels do: use implementation='xla_chunked'")
    chunk = _chunk(chunk_size, implementation)
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    if use_qk_l2norm:
        q, k = unit_length(q), unit_length(k)
    q, k = (per_value_head(x, v.shape[2], 2) for x in (q, k))
    N = q.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    no_state = jnp.zeros((N, v.shape[2], k.shape[-1], v.shape[-1]), jnp.float32)
    start = no_state if initial_state is None else initial_state
    if v.shape[1] == 0 or N == 0:
        return jnp.zeros_like(v), start
    if implementation == "recurrent":
        o, final = recurrent(q, k, v, g, beta, start, cu_seqlens, scale)
        return o.astype(v.dtype), final
    if implementation == "pallas":
        given = start if cu_seqlens is not None else initial_state

        def walk(inputs, plan):
            half = [x.astype(jnp.bfloat16) for x in inputs[:3]]
            gates = [x.astype(jnp.float32) for x in inputs[3:]]
            return fused(chunk, scale, save_policy, (*half, *gates), given, plan)
    else:

        def walk(inputs, plan):
            T = inputs[0].shape[1]
            padded = [jnp.pad(x, [(0, 0), (0, -T % chunk)] + [(0, 0)] * (x.ndim - 2)) for x in inputs]
            o, final = chunked(*padded, start, plan, chunk, scale, precision)
            return o[:, :T], final

    o, final = _walk_packed(
        walk, (q, k, v, g, beta), start, cu_seqlens, max(chunk, TILE * (implementation == "pallas"))
    )
    return o.astype(v.dtype), final


def _walk_packed(walk, inputs, start, cu_seqlens, chunk: int):
    """Call `walk` with each sequence at the start of a chunk; a sequence without tokens keeps its state."""
    if cu_seqlens is None:
        return walk(inputs, None)
    packing = Packing.of(jnp.asarray(cu_seqlens), inputs[0].shape[1], chunk)
    o, final = walk([packing.spread(x) for x in inputs], packing.plan)
    return packing.gather(o), jnp.where(packing.empty[:, None, None, None], start, final)


def _chunk(chunk_size: int | None, implementation: str) -> int:
    allowed = (64, 128) if implementation == "pallas" else tuple(1 << i for i in range(2, 10))
    chunk = chunk_size or (128 if implementation == "pallas" else 64)
    if chunk not in allowed:
        raise ValueError(f"chunk_size={chunk}: {implementation} takes {', '.join(map(str, allowed))}")
    return chunk


def _check_options(precision: str, save_policy: str, implementation: str) -> None:
    for name, value, allowed in (
        ("precision", precision, PRECISIONS),
        ("save_policy", save_policy, SAVE_POLICIES),
        ("implementation", implementation, IMPLEMENTATIONS),
    ):
        if value not in allowed:
            raise ValueError(f"{name}={value!r}: one of {', '.join(allowed)}")


def _check_shapes(q, k, v, g, beta, initial_state, cu_seqlens) -> None:
    if q.ndim != 4 or v.ndim != 4 or q.shape != k.shape or q.shape[:2] != v.shape[:2]:
        raise ValueError(f"q {q.shape} and k {k.shape} must be [B,T,Hk,K] and v {v.shape} [B,T,Hv,V]")
    B, _, Hv, V = v.shape
    if q.shape[2] == 0 or Hv % q.shape[2]:
        raise ValueError(f"v has {Hv} heads, which is no multiple of the {q.shape[2]} heads of q and k")
    if g.shape != v.shape[:3] or beta.shape != v.shape[:3]:
        raise ValueError(f"g {g.shape} and beta {beta.shape} must be {v.shape[:3]}, one per token and head of v")
    if cu_seqlens is not None and (cu_seqlens.ndim != 1 or B != 1):
        raise ValueError(f"cu_seqlens {cu_seqlens.shape} must be [N+1], and B 1 and not {B}")
    N = B if cu_seqlens is None else cu_seqlens.shape[0] - 1
    wanted = (N, Hv, k.shape[-1], V)
    if initial_state is not None and initial_state.shape != wanted:
        raise ValueError(f"initial_state {initial_state.shape} must be {wanted}")
