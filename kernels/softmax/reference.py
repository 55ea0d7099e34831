"""What the softmax problem computes: exp(x - max(x)) / sum(exp(x - max(x))) over the last axis.

The logits are float32, as they come out of a large matmul. Bound by memory when every row is read once; a compiler
that reads the row again for the maximum, the sum and the quotient pays for it.
"""

import numpy as np

BF16_BYTES, F32_BYTES = 2, 4


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of the logits, [R,C]."""
    return (((shape["R"], shape["C"]), "float32"),)


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw the logits.

    `normal`: spread 2, every entry counts. `peaked`: spread 30, a few entries take everything and the rest must
    underflow to zero. `shifted`: rows moved by up to 1e4, where exp without the maximum is infinite.
    """
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((shape["R"], shape["C"]), np.float32)
    if family == "normal":
        logits *= 2
    elif family == "peaked":
        logits *= 30
    elif family == "shifted":
        logits = np.float32(2) * logits + rng.uniform(-1e4, 1e4, (shape["R"], 1)).astype(np.float32)
    else:
        raise ValueError(f"unknown family {family!r}: normal, peaked, shifted")
    return (logits,)


def reference(logits) -> tuple[np.ndarray, ...]:
    """The definition in float64."""
    wide = np.asarray(logits).astype(np.float64)
    powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
    probabilities = powers / powers.sum(axis=-1, keepdims=True)
    if probabilities.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return (probabilities,)


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes): maximum, difference, exponential, sum and product an element; every array moved once."""
    R, C = shape["R"], shape["C"]
    return 5 * R * C, R * C * (F32_BYTES + BF16_BYTES)


def properties(inputs, outputs) -> dict[str, bool]:
    """Probabilities are none below zero, none above one, and sum to one up to the rounding of each term."""
    probabilities = np.asarray(outputs[0]).astype(np.float64)
    sums = probabilities.sum(axis=-1)
    return {
        "between_zero_and_one": bool((probabilities >= 0).all() and (probabilities <= 1).all()),
        "sums_to_one": bool(np.abs(sums - 1).max() <= 2**-8),
    }
