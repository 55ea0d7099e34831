"""What windowed attention must compute: softmax(q k^T / sqrt(D)) v over the last WINDOW keys, with grouped heads.

Frozen while climbing. Query i sees the keys i - WINDOW < j <= i; H / Hk neighbouring query heads share one key head.
Inputs q [B,H,S,D], k and v [B,Hk,S,D], all bfloat16; output o [B,H,S,D], bfloat16 in a variant. Work grows with
S WINDOW and not with S^2, if nothing outside the window is visited. The oracle is the definition in float64.
"""

import ml_dtypes
import numpy as np

BF16_BYTES = 2
WINDOW = 1024


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    B, H, Hk, S, D = _sizes(shape)
    return ((B, H, S, D), "bfloat16"), ((B, Hk, S, D), "bfloat16"), ((B, Hk, S, D), "bfloat16")


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw (q, k, v).

    `normal`: logits of spread one, every key counts. `peaked`: logits of spread 12 that a few keys win, so a running
    maximum that is not carried from block to block overflows or loses everything. `sinks`: every 256th key wins
    whatever is asked and has a value of its own, so a window that is one key too long or too short shows.
    """
    B, H, Hk, S, D = _sizes(shape)
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((B, H, S, D), np.float32)
    k, v = (rng.standard_normal((B, Hk, S, D), np.float32) for _ in range(2))
    if family == "peaked":
        q *= 12
    elif family == "sinks":
        direction = rng.standard_normal(D).astype(np.float32)
        direction *= np.sqrt(D) / np.linalg.norm(direction)
        q = direction + 0.1 * q
        k[:, :, ::256] = direction
        v[:, :, ::256] *= 4
    elif family != "normal":
        raise ValueError(f"unknown family {family!r}: normal, peaked, sinks")
    return tuple(array.astype(ml_dtypes.bfloat16) for array in (q, k, v))


def reference(q, k, v) -> tuple[np.ndarray, ...]:
    """The definition, head by head, in float64, on the inputs as rounded to bfloat16."""
    q, k, v = (np.asarray(array).astype(np.float64) for array in (q, k, v))
    B, H, S, D = q.shape
    group = H // k.shape[1]
    o = np.empty_like(q)
    hidden = ~np.tril(np.ones((S, S), bool)) | np.tril(np.ones((S, S), bool), -WINDOW)
    for b, h in np.ndindex(B, H):
        logits = q[b, h] @ k[b, h // group].T / np.sqrt(D)
        logits[hidden] = -np.inf
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        o[b, h] = weights / weights.sum(axis=-1, keepdims=True) @ v[b, h // group]
    if o.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return (o,)


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes): two products over the pairs that see each other; every array moved once."""
    B, H, Hk, S, D = _sizes(shape)
    seen = min(S, WINDOW)
    pairs = seen * (seen + 1) // 2 + (S - seen) * WINDOW
    return 4 * B * H * D * pairs, 2 * B * (H + Hk) * S * D * BF16_BYTES


def properties(inputs, outputs) -> dict[str, bool]:
    """The first query sees one key only, so its output is that key's value."""
    v, o = np.asarray(inputs[2]).astype(np.float64), np.asarray(outputs[0]).astype(np.float64)
    first = np.repeat(v[:, :, 0], o.shape[1] // v.shape[1], axis=1)
    return {
        "finite": bool(np.isfinite(o).all()),
        "first_query_returns_first_value": bool(np.abs(o[:, :, 0] - first).max() <= 0.02 * np.abs(first).max()),
    }


def _sizes(shape: dict[str, int]) -> tuple[int, ...]:
    B, H, Hk, S, D = (shape[axis] for axis in ("B", "H", "Hk", "S", "D"))
    if H % Hk:
        raise ValueError(f"H={H} must be a multiple of Hk={Hk}")
    return B, H, Hk, S, D
