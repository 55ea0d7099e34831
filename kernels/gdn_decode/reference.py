"""What one decode step of Gated DeltaNet must compute: the recurrence for one token of every sequence, in float64.

Frozen while climbing. Per sequence and value head h, with a state S of K rows and V columns and the key head that h
belongs to (H / Hk neighbouring value heads share one):

    S   <- exp(g) S                            forget (g <= 0, natural logarithm)
    r    = v - S^T k                           what the state gets wrong about this key
    S   <- S + k (beta r)^T                    correct it
    o    = K^(-1/2) S^T q                      read

Inputs: q, k [N,Hk,K] and v [N,H,V] in bfloat16; g, beta [N,H] and state [N,H,K,V] in float32. Outputs: o [N,H,V]
(bfloat16 in a variant) and the new state (float32 in a variant). Nearly all of the time is the state's way from
memory and back.
"""

import ml_dtypes
import numpy as np

BF16_BYTES, F32_BYTES = 2, 4


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    N, H, Hk, K, V = _sizes(shape)
    key, gate = ((N, Hk, K), "bfloat16"), ((N, H), "float32")
    return key, key, ((N, H, V), "bfloat16"), gate, gate, ((N, H, K, V), "float32")


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw (q, k, v, g, beta, state); queries and keys have unit length, as after the model's L2 norm.

    `normal`: a state as many tokens leave it, every strength of decay and correction.
    `strong_decay`: g down to -50, beta exactly 0 and 1.
    `remembered`: the state already holds v under k, so the correction cancels and only decay and read remain.
    """
    N, H, Hk, K, V = _sizes(shape)
    rng = np.random.default_rng(seed)
    q, k = (_unit(rng.standard_normal((N, Hk, K), np.float32)) for _ in range(2))
    v = rng.standard_normal((N, H, V), np.float32)
    state = rng.standard_normal((N, H, K, V), np.float32)
    g = -np.exp(rng.uniform(np.log(2e-3), np.log(0.5), (N, H)))
    beta = 1 / (1 + np.exp(-rng.standard_normal((N, H))))
    half = [array.astype(ml_dtypes.bfloat16) for array in (q, k, v)]
    if family == "strong_decay":
        g = rng.choice([0.0, -0.5, -5.0, -50.0], size=(N, H))
        beta = rng.choice([0.0, 0.5, 1.0], size=(N, H))
    elif family == "remembered":
        g, beta = np.full((N, H), -0.01), np.ones((N, H))
        keys = np.repeat(half[1].astype(np.float32), H // Hk, axis=1)
        norm = (keys**2).sum(-1)[..., None, None]
        held = (keys[..., :, None] * state).sum(-2, keepdims=True)
        wanted = half[2].astype(np.float32)[..., None, :] * np.exp(0.01)
        state = state + keys[..., :, None] * (wanted - held) / norm
    elif family != "normal":
        raise ValueError(f"unknown family {family!r}: normal, strong_decay, remembered")
    return (*half, g.astype(np.float32), beta.astype(np.float32), state.astype(np.float32))


def reference(q, k, v, g, beta, state) -> tuple[np.ndarray, ...]:
    """The four lines above for all sequences and heads at once, in float64."""
    q, k, v, g, beta, state = (np.asarray(array).astype(np.float64) for array in (q, k, v, g, beta, state))
    group = v.shape[1] // k.shape[1]
    q, k = (np.repeat(array, group, axis=1) for array in (q, k))
    state = np.exp(g)[..., None, None] * state
    wrong = v - (k[..., None, :] @ state)[..., 0, :]
    state = state + k[..., :, None] * (beta[..., None] * wrong)[..., None, :]
    o = (q[..., None, :] @ state)[..., 0, :] * q.shape[-1] ** -0.5
    if o.dtype != np.float64 or state.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return o, state


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) that no algorithm can beat: 6KV a head and every array moved once, the state in and out."""
    N, H, Hk, K, V = _sizes(shape)
    moved = BF16_BYTES * N * (2 * Hk * K + 2 * H * V) + F32_BYTES * N * H * 2 + 2 * F32_BYTES * N * H * K * V
    return N * H * 6 * K * V, moved


def properties(inputs, outputs) -> dict[str, bool]:
    """The output reads the new state, and everything is finite."""
    q = np.repeat(np.asarray(inputs[0]).astype(np.float64), inputs[2].shape[1] // inputs[0].shape[1], axis=1)
    o, state = (np.asarray(array).astype(np.float64) for array in outputs)
    read = (q[..., None, :] @ state)[..., 0, :] * q.shape[-1] ** -0.5
    scale = max(float(np.sqrt(np.mean(read**2))), 1e-30)
    return {
        "finite": bool(np.isfinite(o).all() and np.isfinite(state).all()),
        "output_reads_new_state": bool(float(np.sqrt(np.mean((o - read) ** 2))) <= 0.02 * scale),
    }


def _sizes(shape: dict[str, int]) -> tuple[int, ...]:
    N, H, Hk, K, V = (shape[axis] for axis in ("N", "H", "Hk", "K", "V"))
    if H % Hk:
        raise ValueError(f"H={H} must be a multiple of Hk={Hk}")
    return N, H, Hk, K, V


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
