"""What a grouped matmul must compute: every row of a, sorted by group, times the matrix of its group.

The heart of a mixture of experts after its tokens were sorted by expert. Inputs a [M,K] and b [G,K,N] in bfloat16 and
sizes [G], int32 with sum M: the first sizes[0] rows belong to b[0], the next sizes[1] to b[1], and so on. Output
[M,N], bfloat16 in a variant. How much work there is depends on the sizes, so a price is for the sizes below.
"""

import ml_dtypes
import numpy as np

BF16_BYTES = 2


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    M, K, N, G = (shape[axis] for axis in ("M", "K", "N", "G"))
    return ((M, K), "bfloat16"), ((G, K, N), "bfloat16"), ((G,), "int32")


def make_inputs(seed: int, shape: dict[str, int], family: str = "uneven") -> tuple[np.ndarray, ...]:
    """Draw (a, b, sizes).

    `uneven`: the largest group is several times the smallest, none is empty, and nearly every border lies inside a
    tile. `even`: sizes as equal as they can be. `empty`: one group takes half of the rows, every other one is empty
    or small, the first and the last are empty.
    """
    M, K, N, G = (shape[axis] for axis in ("M", "K", "N", "G"))
    rng = np.random.default_rng(seed)
    if family == "uneven":
        sizes = rng.permutation(_uneven(M, G))
    elif family == "even":
        sizes = np.diff(np.arange(G + 1) * M // G)
    elif family == "empty":
        sizes = np.zeros(G, np.int64)
        sizes[1 : G - 1 : 2] = M // 2 // len(sizes[1 : G - 1 : 2])
        sizes[G // 2] += M - sizes.sum()
    else:
        raise ValueError(f"unknown family {family!r}: uneven, even, empty")
    a = rng.standard_normal((M, K), np.float32).astype(ml_dtypes.bfloat16)
    b = rng.standard_normal((G, K, N), np.float32).astype(ml_dtypes.bfloat16)
    return a, b, sizes.astype(np.int32)


def priced_with(shape: dict[str, int]) -> dict[int, np.ndarray]:
    """The sizes that a price is for: those of `uneven`, in an order that does not change."""
    return {2: np.random.default_rng(0).permutation(_uneven(shape["M"], shape["G"])).astype(np.int32)}


def reference(a, b, sizes) -> tuple[np.ndarray, ...]:
    """Group by group, in float64, on the inputs as rounded to bfloat16."""
    a, b = (np.asarray(array).astype(np.float64) for array in (a, b))
    ends = np.cumsum(np.asarray(sizes).astype(np.int64))
    if ends[-1] != len(a):
        raise ValueError(f"sizes add up to {ends[-1]}, not to the {len(a)} rows")
    product = np.concatenate(
        [a[end - size : end] @ matrix for end, size, matrix in zip(ends, np.asarray(sizes), b, strict=True)]
    )
    if product.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return (product,)


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes) of used rows only, with every array moved once; no group of `uneven` is empty."""
    M, K, N, G = (shape[axis] for axis in ("M", "K", "N", "G"))
    return 2 * M * K * N, BF16_BYTES * (M * K + G * K * N + M * N)


def _uneven(M: int, G: int) -> np.ndarray:
    """Sizes with sum M that grow from about half of the mean to about half above it."""
    return np.diff(np.floor(M * (np.arange(G + 1) / G) * (0.5 + 0.5 * np.arange(G + 1) / G)).astype(np.int64))
