"""What Gated DeltaNet's forward pass must compute: the token-by-token recurrence in float64.

Frozen while climbing. Per sequence and head, with a state S of K rows and V columns, starting at zero:

    S   <- exp(g_t) S                          forget (g_t <= 0, natural logarithm)
    r_t  = v_t - S^T k_t                       what the state gets wrong about this key
    S   <- S + k_t (beta_t r_t)^T              correct it
    o_t  = K^(-1/2) S^T q_t                    read

Inputs: q, k [B,T,H,K] and v [B,T,H,V] in bfloat16; g, beta [B,T,H] in float32. Outputs: o [B,T,H,V] (bfloat16 in
a variant) and final_state [B,H,K,V] (float32 in a variant). The oracle reads the inputs as already rounded to
bfloat16, so the rounding of the inputs is nobody's error.
"""

import math

import ml_dtypes
import numpy as np

BF16_BYTES, F32_BYTES = 2, 4
TARGET_CHUNK = 64  # the chunk length of the stated good form in `target_cost`


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    key, value, gate = ((B, T, H, K), "bfloat16"), ((B, T, H, V), "bfloat16"), ((B, T, H), "float32")
    return key, key, value, gate, gate


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw (q, k, v, g, beta); queries and keys have unit length, as after the model's L2 norm.

    `normal`: independent keys, half-lives from two to a few hundred tokens, every strength of correction.
    `correlated`: all keys of a sequence share a direction (rho = 0.9), beta about 0.99, almost no forgetting.
    Trained models come close; a chunk's triangular system then has a norm near its length, which breaks series
    expansions that look perfect on independent keys.
    `strong_decay`: g down to -50 a token, beta exactly 0 and 1; exp(-sum g) overflows wherever it is formed.
    """
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    rng = np.random.default_rng(seed)
    q = _unit(rng.standard_normal((B, T, H, K), np.float32))
    v = rng.standard_normal((B, T, H, V), np.float32)
    if family == "normal":
        k = _unit(rng.standard_normal((B, T, H, K), np.float32))
        g = -np.exp(rng.uniform(np.log(2e-3), np.log(0.5), (B, T, H)))
        beta = 1 / (1 + np.exp(-rng.standard_normal((B, T, H))))
    elif family == "correlated":
        k = _correlated_keys(rng, (B, T, H, K), rho=0.9)
        g = -0.005 * rng.uniform(size=(B, T, H))
        beta = 0.99 + 0.009 * rng.uniform(-1, 1, (B, T, H))
    elif family == "strong_decay":
        k = _correlated_keys(rng, (B, T, H, K), rho=0.5)
        g = rng.choice([0.0, -0.02, -0.5, -5.0, -50.0], size=(B, T, H), p=[0.3, 0.3, 0.2, 0.15, 0.05])
        beta = rng.choice([0.0, 0.5, 1.0], size=(B, T, H))
    else:
        raise ValueError(f"unknown family {family!r}: normal, correlated, strong_decay")
    half = (array.astype(ml_dtypes.bfloat16) for array in (q, k, v))
    return (*half, g.astype(np.float32), beta.astype(np.float32))


def reference(q, k, v, g, beta) -> tuple[np.ndarray, ...]:
    """The recurrence above, one token at a time, all sequences and heads at once, in float64."""
    q, k, v, g, beta = (np.asarray(array).astype(np.float64) for array in (q, k, v, g, beta))
    B, T, H, K = q.shape
    state = np.zeros((B, H, K, v.shape[-1]))
    o = np.empty_like(v)
    for t in range(T):
        state *= np.exp(g[:, t])[:, :, None, None]
        wrong = v[:, t] - (k[:, t, :, None, :] @ state)[:, :, 0]
        state += k[:, t, :, :, None] * (beta[:, t, :, None] * wrong)[:, :, None, :]
        o[:, t] = (q[:, t, :, None, :] @ state)[:, :, 0]
    o *= K**-0.5
    if o.dtype != np.float64 or state.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return o, state


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) that no algorithm can beat: 6KV per token and head, every array moved once.

    6KV is the limit of the chunked form for a short chunk: a read for the correction, a read for the output and a
    write, one KV less than the plain recurrence spends. An array that fits on the chip may never leave it, so the
    bytes bound only shapes whose inputs are larger than on-chip memory.
    """
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    return B * T * H * 6 * K * V, _bytes_moved_once(shape)


def target_cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) of a good chunked kernel: chunk 64, standard form, triangular inverse by true-size blocks.

    Per token and head 2C(3K + 2V) + 6KV, plus the inverse: doubling 16-row diagonal blocks up to C costs 2,560 a
    token at C = 64. It is a goal, not a law: a shorter form or a causal skip may beat it.
    """
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    inverse = 2_560
    per_token_head = 2 * TARGET_CHUNK * (3 * K + 2 * V) + 6 * K * V + inverse
    return B * T * H * per_token_head, _bytes_moved_once(shape)


def properties(inputs, outputs) -> dict[str, bool]:
    """Identities between the outputs themselves: finite, and the last token's output reads the final state."""
    q = np.asarray(inputs[0]).astype(np.float64)
    o, state = (np.asarray(array).astype(np.float64) for array in outputs)
    last_read = (q[:, -1, :, None, :] @ state)[:, :, 0] * q.shape[-1] ** -0.5
    scale = max(float(np.sqrt(np.mean(last_read**2))), 1e-30)
    error = float(np.sqrt(np.mean((o[:, -1] - last_read) ** 2)))
    return {
        "finite": bool(np.isfinite(o).all() and np.isfinite(state).all()),
        "last_output_reads_final_state": bool(error <= 0.02 * scale),
    }


def _bytes_moved_once(shape: dict[str, int]) -> int:
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    per_token_head = BF16_BYTES * (2 * K + 2 * V) + F32_BYTES * 2
    return B * T * H * per_token_head + B * H * K * V * F32_BYTES


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _correlated_keys(rng: np.random.Generator, size: tuple[int, ...], rho: float) -> np.ndarray:
    """Keys that share one direction per sequence and head; rho is their cosine with it."""
    B, _, H, K = size
    common = _unit(rng.standard_normal((B, 1, H, K), np.float32))
    return _unit(rho * common + math.sqrt(1 - rho**2) * _unit(rng.standard_normal(size, np.float32)))
