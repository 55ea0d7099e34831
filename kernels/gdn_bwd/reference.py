"""What Gated DeltaNet's backward pass must compute: the recurrence run back token by token in float64.

Frozen while climbing. The forward pass (see the problem `gdn`), per sequence and head, with S starting at zero:

    R   = exp(g_t) S        r_t = v_t - R^T k_t        S <- R + k_t (beta_t r_t)^T        o_t = K^(-1/2) S^T q_t

Given the gradient do of a loss with respect to o, this computes the gradients with respect to every input. With dS
the gradient with respect to the state after token t, which starts at zero after the last one:

    dS  <- dS + K^(-1/2) q_t do_t^T                    dq_t = K^(-1/2) S do_t
    u    = dS^T k_t         dbeta_t = u . r_t          dv_t = beta_t u
    dR   = dS - k_t dv_t^T                             dk_t = dS (beta_t r_t) - R dv_t
    dg_t = <dR, R>          dS <- exp(g_t) dR

Inputs: q, k [B,T,H,K], v and do [B,T,H,V] in bfloat16; g, beta [B,T,H] in float32. Outputs: dq, dk, dv in bfloat16,
dg, dbeta in float32. The final state has no gradient: in training nobody looks at it.
"""

import math

import ml_dtypes
import numpy as np

BF16_BYTES, F32_BYTES = 2, 4
TARGET_CHUNK = 64  # the chunk length of the stated good form in `target_cost`
SEGMENT = 32  # tokens between stored states of the oracle


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    key, value, gate = ((B, T, H, K), "bfloat16"), ((B, T, H, V), "bfloat16"), ((B, T, H), "float32")
    return key, key, value, gate, gate, value


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw (q, k, v, g, beta, do); queries and keys have unit length, as after the model's L2 norm.

    `normal`: independent keys, half-lives from two to a few hundred tokens, every strength of correction.
    `correlated`: all keys of a sequence share a direction (rho = 0.9), beta about 0.99, almost no forgetting: the
    triangular systems are as ill-conditioned as trained models make them.
    `strong_decay`: g down to -50 a token, beta exactly 0 and 1; exp(-sum g) overflows wherever it is formed.
    """
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    rng = np.random.default_rng(seed)
    q = _unit(rng.standard_normal((B, T, H, K), np.float32))
    v, do = (rng.standard_normal((B, T, H, V), np.float32) for _ in range(2))
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
    q, k, v, do = (array.astype(ml_dtypes.bfloat16) for array in (q, k, v, do))
    return q, k, v, g.astype(np.float32), beta.astype(np.float32), do


def reference(q, k, v, g, beta, do) -> tuple[np.ndarray, ...]:
    """The lines above in float64, all sequences and heads at once; states are stored every SEGMENT tokens."""
    q, k, v, g, beta, do = (np.asarray(array).astype(np.float64) for array in (q, k, v, g, beta, do))
    B, T, H, K = q.shape
    stored, state = [], np.zeros((B, H, K, v.shape[-1]))
    for t in range(T):
        if t % SEGMENT == 0:
            stored.append(state)
        state = _forward_step(state, k, v, g, beta, t)[2]
    dq, dk, dv, dg, dbeta = (np.empty_like(array) for array in (q, k, v, g, beta))
    d_state = np.zeros_like(state)
    for segment in reversed(range(len(stored))):
        steps, state = [], stored[segment]
        times = range(segment * SEGMENT, min((segment + 1) * SEGMENT, T))
        for t in times:
            steps.append(_forward_step(state, k, v, g, beta, t))
            state = steps[-1][2]
        for t, (remembered, wrong, state) in zip(reversed(times), reversed(steps), strict=True):
            d_out = do[:, t] * K**-0.5
            dq[:, t] = (state @ d_out[..., None])[..., 0]
            d_state = d_state + q[:, t, :, :, None] * d_out[..., None, :]
            u = (k[:, t, :, None, :] @ d_state)[..., 0, :]
            dbeta[:, t] = (u * wrong).sum(-1)
            dv[:, t] = beta[:, t, :, None] * u
            corrected = (d_state @ (beta[:, t, :, None] * wrong)[..., None])[..., 0]
            dk[:, t] = corrected - (remembered @ dv[:, t][..., None])[..., 0]
            d_remembered = d_state - k[:, t, :, :, None] * dv[:, t][..., None, :]
            dg[:, t] = (d_remembered * remembered).sum((-2, -1))
            d_state = np.exp(g[:, t])[..., None, None] * d_remembered
    if dq.dtype != np.float64 or dg.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return dq, dk, dv, dg, dbeta


def _forward_step(state, k, v, g, beta, t: int):
    """(R, r, S) of token t; see the module's first formula."""
    remembered = np.exp(g[:, t])[:, :, None, None] * state
    wrong = v[:, t] - (k[:, t, :, None, :] @ remembered)[:, :, 0]
    return remembered, wrong, remembered + k[:, t, :, :, None] * (beta[:, t, :, None] * wrong)[:, :, None, :]


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) that no algorithm can beat: 14KV per token and head, every array moved once.

    14KV is the limit of the chunked form for a short chunk. Nothing saved by the forward pass is an input, so the
    states have to be computed again; that is not counted, nor are they written.
    """
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    return B * T * H * 14 * K * V, _bytes_moved_once(shape)


def target_cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) of a good chunked kernel: chunk 64, the forward pass's states and inverses computed again.

    Per token and head 10CV + 10CK + 14KV for the gradients, 2CK + 2KV and the inverse (2,560 a token at C = 64) for
    what the forward pass knew. It is a goal, not a law.
    """
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    C, inverse = TARGET_CHUNK, 2_560
    per_token_head = 10 * C * V + 10 * C * K + 14 * K * V + 2 * C * K + 2 * K * V + inverse
    return B * T * H * per_token_head, _bytes_moved_once(shape)


def properties(inputs, outputs) -> dict[str, bool]:
    """What holds between the outputs themselves: finite, and the first token's decay, which decays nothing."""
    outputs = [np.asarray(array).astype(np.float64) for array in outputs]
    dg = outputs[3]
    scale = max(float(np.sqrt(np.mean(dg**2))), 1e-30)
    return {
        "finite": all(bool(np.isfinite(array).all()) for array in outputs),
        "first_decay_has_no_gradient": bool(np.abs(dg[:, 0]).max() <= 0.1 * scale),
    }


def _bytes_moved_once(shape: dict[str, int]) -> int:
    B, T, H, K, V = (shape[axis] for axis in "BTHKV")
    return B * T * H * (BF16_BYTES * (4 * K + 3 * V) + F32_BYTES * 4)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _correlated_keys(rng: np.random.Generator, size: tuple[int, ...], rho: float) -> np.ndarray:
    """Keys that share one direction per sequence and head; rho is their cosine with it."""
    B, _, H, K = size
    common = _unit(rng.standard_normal((B, 1, H, K), np.float32))
    return _unit(rho * common + math.sqrt(1 - rho**2) * _unit(rng.standard_normal(size, np.float32)))
