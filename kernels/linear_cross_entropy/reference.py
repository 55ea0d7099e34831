"""What a linear layer with cross-entropy must compute: log(sum_v exp(x w_v)) - x w_label, for every token.

The last layer of a language model. Its logits are T x V numbers, gigabytes that are needed only to be summed up, and
the point of a kernel is that they never reach memory. Inputs x [T,D] and w [V,D] in bfloat16 and labels [T], int32 in
[0, V); output loss [T], float32, in nats.
"""

import ml_dtypes
import numpy as np

BF16_BYTES, F32_BYTES, INT32_BYTES = 2, 4, 4


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    T, D, V = (shape[axis] for axis in ("T", "D", "V"))
    return ((T, D), "bfloat16"), ((V, D), "bfloat16"), ((T,), "int32")


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw (x, w, labels).

    `normal`: logits of spread one, every entry of the vocabulary counts. `peaked`: logits of spread 12 that a few
    entries win; losses are as large as 40, and an exponential without the maximum is infinite. `rising`: later
    entries have larger logits, so every block of the vocabulary has a new maximum. Labels lie anywhere, the first
    and the last entry among them.
    """
    T, D, V = (shape[axis] for axis in ("T", "D", "V"))
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, D), np.float32)
    w = rng.standard_normal((V, D), np.float32) / np.float32(np.sqrt(D))
    if family == "peaked":
        w *= 12
    elif family == "rising":
        direction = rng.standard_normal(D).astype(np.float32)
        direction *= np.sqrt(D) / np.linalg.norm(direction)
        x = direction + 0.1 * x
        w += direction * np.linspace(-20, 20, V, dtype=np.float32)[:, None] / D
    elif family != "normal":
        raise ValueError(f"unknown family {family!r}: normal, peaked, rising")
    labels = rng.integers(0, V, T)
    labels[:2] = 0, V - 1
    return x.astype(ml_dtypes.bfloat16), w.astype(ml_dtypes.bfloat16), labels.astype(np.int32)


def reference(x, w, labels) -> tuple[np.ndarray, ...]:
    """The definition in float64, on the inputs as rounded to bfloat16."""
    logits = np.asarray(x).astype(np.float64) @ np.asarray(w).astype(np.float64).T
    top = logits.max(axis=1)
    total = np.exp(logits - top[:, None]).sum(axis=1)
    loss = top + np.log(total) - logits[np.arange(len(logits)), np.asarray(labels)]
    if loss.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return (loss,)


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes): one product with every entry of the vocabulary; every array moved once, no logits."""
    T, D, V = (shape[axis] for axis in ("T", "D", "V"))
    return 2 * T * D * V, BF16_BYTES * (T * D + V * D) + T * (F32_BYTES + INT32_BYTES)


def properties(inputs, outputs) -> dict[str, bool]:
    """A loss is the negative logarithm of a probability: never below zero, up to rounding."""
    del inputs
    loss = np.asarray(outputs[0]).astype(np.float64)
    return {"not_negative": bool((loss >= -1e-4 * np.abs(loss).max()).all())}
