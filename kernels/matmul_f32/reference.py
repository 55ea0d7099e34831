"""What a float32 matmul must compute: C = A B, float32 in and out, the oracle in float64.

The matrix unit multiplies bfloat16, so a float32 product is made of several passes over parts of the operands, or is
silently less than it seems. Three passes (high times high, high times low, low times high) are asked for here; the
target floor counts them, the physics floor counts one.
"""

import numpy as np

F32_BYTES, PASSES = 4, 3


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    M, N, K = (shape[axis] for axis in "MNK")
    return ((M, K), "float32"), ((K, N), "float32")


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw a [M,K] and b [K,N].

    `normal`: independent entries, so sums cancel and grow like sqrt(K).
    `positive`: entries in [0, 1), so sums grow like K; the least significant bits decide.
    """
    M, N, K = (shape[axis] for axis in "MNK")
    rng = np.random.default_rng(seed)
    if family == "normal":
        a, b = rng.standard_normal((M, K), np.float32), rng.standard_normal((K, N), np.float32)
    elif family == "positive":
        a, b = rng.random((M, K), np.float32), rng.random((K, N), np.float32)
    else:
        raise ValueError(f"unknown family {family!r}: normal, positive")
    return a, b


def reference(a, b) -> tuple[np.ndarray, ...]:
    """The product in float64."""
    product = np.asarray(a).astype(np.float64) @ np.asarray(b).astype(np.float64)
    if product.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return (product,)


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) of the schoolbook product with every array moved once.

    Algorithms with fewer multiplications exist (Strassen) but not with the accuracy asked for here at these sizes.
    """
    M, N, K = (shape[axis] for axis in "MNK")
    return 2 * M * N * K, F32_BYTES * (M * K + K * N + M * N)


def target_cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) of three passes at the bfloat16 rate, with every array moved once."""
    flops, moved = cost(shape)
    return PASSES * flops, moved
