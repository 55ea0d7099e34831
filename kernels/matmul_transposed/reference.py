"""What a matmul with a transposed operand must compute: C = A B^T, bfloat16 in and out, the oracle in float64.

The product of every linear layer whose weights are stored [out, in], and of queries with keys. Transposing B first
would cost a pass over it, so the question is whether the matrix unit is fed in the order in which B lies.
"""

import ml_dtypes
import numpy as np

BF16_BYTES = 2


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    M, N, K = (shape[axis] for axis in "MNK")
    return ((M, K), "bfloat16"), ((N, K), "bfloat16")


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw a [M,K] and b [N,K].

    `normal`: independent entries, so sums cancel and grow like sqrt(K).
    `positive`: entries in [0, 1), so sums grow like K; an accumulator narrower than float32 stops adding.
    """
    M, N, K = (shape[axis] for axis in "MNK")
    rng = np.random.default_rng(seed)
    if family == "normal":
        a, b = rng.standard_normal((M, K), np.float32), rng.standard_normal((N, K), np.float32)
    elif family == "positive":
        a, b = rng.random((M, K), np.float32), rng.random((N, K), np.float32)
    else:
        raise ValueError(f"unknown family {family!r}: normal, positive")
    return a.astype(ml_dtypes.bfloat16), b.astype(ml_dtypes.bfloat16)


def reference(a, b) -> tuple[np.ndarray, ...]:
    """The product with b transposed, of the inputs as rounded to bfloat16, in float64."""
    product = np.asarray(a).astype(np.float64) @ np.asarray(b).astype(np.float64).T
    if product.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return (product,)


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) of the schoolbook product with every array moved once.

    Algorithms with fewer multiplications exist (Strassen) but not with the accuracy asked for here at these sizes.
    """
    M, N, K = (shape[axis] for axis in "MNK")
    return 2 * M * N * K, BF16_BYTES * (M * K + K * N + M * N)
