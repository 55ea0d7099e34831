"""The public function: checks what it is given, prepares it, and hands it to one of four implementations."""

import jax
import jax.numpy as jnp

from gated_delta_rule.chunked import chunked
from gated_delta_rule.fused import SAVED, TILE, fused, shared_by
from gated_delta_rule.gates import per_value_head, unit_length
from gated_delta_rule.gpu import fused_gpu
from gated_delta_rule.packing import Packing
from gated_delta_rule.recurrent import recurrent

IMPLEMENTATIONS = ("auto", "recurrent", "xla_chunked", "pallas", "gpu")
CHUNKS = {"pallas": (128, 64), "gpu": (64, 16, 32, 128)}  # the default first
PRECISIONS = ("highest", "mixed", "fast")


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
    chunk_size: tokens solved at once, a power of two (pallas: 64 or 128, gpu: 16 to 128). Default 64, pallas 128.
    scale: default K^(-1/2). use_qk_l2norm: divide q and k by their lengths first.
    precision: `highest` (float32 everywhere, not in pallas and gpu), `mixed` (products with the state take bfloat16
    operands, the triangular inverse does not), `fast` (only the inverse stays wide; pallas and gpu do what mixed
    does).
    save_policy: what a pallas forward pass keeps for its backward pass beside the inputs, per head and 128 tokens of
    128 x 128 states: `none` (nothing, as `auto`), `checkpoint` (a state every 512 tokens, 8 KiB; the rest is computed
    again in vector memory), `inverse` (the inverted systems, 48 KiB), `state` (all of it, 144 KiB).
    implementation: `recurrent` (a loop over tokens, float64 if the inputs are), `xla_chunked`, `pallas` (TPU kernels)
    or `gpu` (Triton kernels), both of which round q, k, v to bfloat16; `auto` (pallas on a TPU unless precision is
    highest, and xla_chunked elsewhere).

    A gradient through pallas is a fused kernel where there is no initial state, no cu_seqlens and no gradient of the
    final state; there and in gpu it is `xla_chunked`'s. Raises ValueError for what fits none of this.
    """
    _check_options(precision, save_policy, implementation)
    q, k, v, g, beta = (jnp.asarray(x) for x in (q, k, v, g, beta))
    initial_state = None if initial_state is None else jnp.asarray(initial_state)
    _check_shapes(q, k, v, g, beta, initial_state, cu_seqlens)
    if implementation == "auto":
        on_tpu = jax.default_backend() == "tpu" and precision != "highest"
        implementation = "pallas" if on_tpu else "xla_chunked"
    if implementation in CHUNKS and precision == "highest":
        raise ValueError("precision='highest' is not what the fused kernels do: use implementation='xla_chunked'")
    chunk = _chunk(chunk_size, implementation)
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    if use_qk_l2norm:
        q, k = unit_length(q), unit_length(k)
    heads = v.shape[2]
    if implementation != "gpu":  # which picks heads itself
        shared = shared_by(q.shape[2], heads) if implementation == "pallas" else 1
        q, k = (per_value_head(x, heads // shared, 2) for x in (q, k))
    N = q.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    no_state = jnp.zeros((N, heads, k.shape[-1], v.shape[-1]), jnp.float32)
    start = no_state if initial_state is None else initial_state
    if v.shape[1] == 0 or N == 0:
        return jnp.zeros_like(v), start
    if implementation == "recurrent":
        o, final = recurrent(q, k, v, g, beta, start, cu_seqlens, scale)
        return o.astype(v.dtype), final

    def walk(inputs, plan):
        if implementation == "xla_chunked":
            T = inputs[0].shape[1]
            padded = [jnp.pad(x, [(0, 0), (0, -T % chunk)] + [(0, 0)] * (x.ndim - 2)) for x in inputs]
            o, final = chunked(*padded, start, plan, chunk, scale, precision)
            return o[:, :T], final
        narrow = (*(x.astype(jnp.bfloat16) for x in inputs[:3]), *(x.astype(jnp.float32) for x in inputs[3:]))
        if implementation == "gpu":
            return fused_gpu(chunk, scale, narrow, start.astype(jnp.float32), plan)
        return fused(chunk, scale, save_policy, narrow, initial_state if plan is None else start, plan)

    size = max(chunk, TILE) if implementation == "pallas" else chunk
    o, final = _walk_packed(walk, (q, k, v, g, beta), start, cu_seqlens, size)
    return o.astype(v.dtype), final


def _walk_packed(walk, inputs, start, cu_seqlens, chunk: int):
    """Call `walk` with each sequence at the start of a chunk; a sequence without tokens keeps its state."""
    if cu_seqlens is None:
        return walk(inputs, None)
    packing = Packing.of(jnp.asarray(cu_seqlens), inputs[0].shape[1], chunk)
    o, final = walk([packing.spread(x) for x in inputs], packing.plan)
    return packing.gather(o), jnp.where(packing.empty[:, None, None, None], start, final)


def _chunk(chunk_size: int | None, implementation: str) -> int:
    allowed = CHUNKS.get(implementation, (64, *(1 << i for i in range(2, 10))))
    chunk = chunk_size or allowed[0]
    if chunk not in allowed:
        raise ValueError(f"chunk_size={chunk}: {implementation} takes {', '.join(map(str, sorted(set(allowed))))}")
    return chunk


def _check_options(precision: str, save_policy: str, implementation: str) -> None:
    for name, value, allowed in (
        ("precision", precision, PRECISIONS),
        ("save_policy", save_policy, SAVED),
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
