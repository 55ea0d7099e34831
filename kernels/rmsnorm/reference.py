"""What the RMS norm problem computes: residual <- x + residual, then y = weight * residual / rms(residual).

The sum is rounded to bfloat16 where it is returned, and y is the norm of what was returned: that is how transformer
blocks use it, and it makes both outputs functions of the same numbers. Bound by memory on every chip: two arrays in,
two out, a handful of operations an element. It shows how far a plain compiler gets, and when not to write a kernel.
"""

import ml_dtypes
import numpy as np

BF16_BYTES, F32_BYTES = 2, 4
EPSILON = 1e-6


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input: x [T,D], residual [T,D], weight [D]."""
    T, D = shape["T"], shape["D"]
    return ((T, D), "bfloat16"), ((T, D), "bfloat16"), ((D,), "float32")


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw (x, residual, weight).

    `normal`: unit entries. `scales`: rows between 1e-3 and 1e3, so a constant in place of the root is wrong by as
    much. `outlier`: one entry a row is a hundred times the others, as in trained models; in a sum kept in bfloat16
    it swallows the rest.
    """
    T, D = shape["T"], shape["D"]
    rng = np.random.default_rng(seed)
    x, residual = (rng.standard_normal((T, D), np.float32) for _ in range(2))
    weight = (1 + 0.1 * rng.standard_normal(D)).astype(np.float32)
    if family == "scales":
        rows = 10.0 ** rng.uniform(-3, 3, (T, 1)).astype(np.float32)
        x, residual = x * rows, residual * rows
    elif family == "outlier":
        residual[np.arange(T), rng.integers(0, D, T)] *= 100
    elif family != "normal":
        raise ValueError(f"unknown family {family!r}: normal, scales, outlier")
    return x.astype(ml_dtypes.bfloat16), residual.astype(ml_dtypes.bfloat16), weight


def reference(x, residual, weight) -> tuple[np.ndarray, ...]:
    """The definition in float64, on the inputs as rounded to bfloat16; the sum is rounded as it will be stored."""
    exact = np.asarray(x).astype(np.float64) + np.asarray(residual).astype(np.float64)
    summed = exact.astype(ml_dtypes.bfloat16).astype(np.float64)
    y = np.asarray(weight).astype(np.float64) * summed
    y /= np.sqrt(np.mean(summed**2, axis=-1, keepdims=True) + EPSILON)
    if y.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return y, exact


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes): add, square, sum and two products an element; every array moved once."""
    T, D = shape["T"], shape["D"]
    return 5 * T * D, 4 * T * D * BF16_BYTES + D * F32_BYTES
