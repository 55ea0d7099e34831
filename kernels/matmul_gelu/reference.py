"""What a matmul with a fused activation must compute: C = gelu(A B + bias), bfloat16 in and out, oracle in float64.

The first half of a transformer's feed-forward layer, with the approximation by tanh that models were trained with.
What is fused is worth a pass over C, and costs whatever the vector unit does not hide behind the matrix unit.
"""

import ml_dtypes
import numpy as np

BF16_BYTES, F32_BYTES = 2, 4


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    M, N, K = (shape[axis] for axis in "MNK")
    return ((M, K), "bfloat16"), ((K, N), "bfloat16"), ((N,), "float32")


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw a [M,K], b [K,N] and bias [N].

    `normal`: sums of spread two, on both sides of the bend. `tails`: sums of spread 30, where gelu is zero or the
    identity and an exponential of the sum overflows.
    """
    M, N, K = (shape[axis] for axis in "MNK")
    if family not in ("normal", "tails"):
        raise ValueError(f"unknown family {family!r}: normal, tails")
    rng = np.random.default_rng(seed)
    spread = np.float32((2 if family == "normal" else 30) / np.sqrt(K))
    a, b = rng.standard_normal((M, K), np.float32), spread * rng.standard_normal((K, N), np.float32)
    return a.astype(ml_dtypes.bfloat16), b.astype(ml_dtypes.bfloat16), rng.standard_normal(N).astype(np.float32)


def reference(a, b, bias) -> tuple[np.ndarray, ...]:
    """The definition on the inputs as rounded to bfloat16, in float64."""
    total = np.asarray(a).astype(np.float64) @ np.asarray(b).astype(np.float64) + np.asarray(bias).astype(
        np.float64
    )
    product = 0.5 * total * (1 + np.tanh(np.sqrt(2 / np.pi) * (total + 0.044715 * total**3)))
    if product.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return (product,)


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) of the schoolbook product with every array moved once; the activation is not counted."""
    M, N, K = (shape[axis] for axis in "MNK")
    return 2 * M * N * K, BF16_BYTES * (M * K + K * N + M * N) + F32_BYTES * N
