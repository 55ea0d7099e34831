"""What paged decoding attention must compute: one query of every sequence against its keys, which lie in pages.

A server keeps the keys and values of all sequences in one pool of pages, so that sequences can grow without moving.
Inputs q [B,H,D], k and v [Hk,P,page,D] with P = B L / page, all bfloat16; lengths [B], int32, at least one and at most
L; table [B, L / page], int32, the pages of every sequence in order. Query head h reads key head h Hk // H. Output
o [B,H,D], bfloat16 in a variant. What lies behind a sequence's length, in its last page and in the table's later
entries, is left over from others and must not count. How much is read depends on the lengths, so a price is for those
that `priced_with` gives.
"""

import ml_dtypes
import numpy as np

BF16_BYTES, INT32_BYTES = 2, 4
LEFTOVER = 3e4


def input_specs(shape: dict[str, int]) -> tuple[tuple[tuple[int, ...], str], ...]:
    """Shape and dtype of every input, without drawing it: enough to compile for a large shape."""
    B, H, Hk, D, page, L = _sizes(shape)
    pool = ((Hk, B * L // page, page, D), "bfloat16")
    return ((B, H, D), "bfloat16"), pool, pool, ((B,), "int32"), ((B, L // page), "int32")


def make_inputs(seed: int, shape: dict[str, int], family: str = "normal") -> tuple[np.ndarray, ...]:
    """Draw (q, k, v, lengths, table).

    `normal`: lengths between half of L and L, every key counts. `short`: lengths from one to two pages, exactly a
    page among them, and large numbers behind every end: what is read too far shows. `peaked`: logits of spread 12,
    so a running maximum that is not carried from block to block overflows or loses everything.
    """
    B, H, Hk, D, page, L = _sizes(shape)
    rng = np.random.default_rng(seed)
    if family not in ("normal", "short", "peaked"):
        raise ValueError(f"unknown family {family!r}: normal, short, peaked")
    lengths = rng.permutation(_lengths(B, L))
    if family == "short":
        lengths = rng.integers(1, 2 * page + 1, B)
        lengths[:2] = (page, 1)[: len(lengths[:2])]
    table = rng.permutation(B * L // page).reshape(B, L // page)
    q = rng.standard_normal((B, H, D), np.float32) * (12 if family == "peaked" else 1)
    k, v = (rng.standard_normal((Hk, B * L // page, page, D), np.float32) for _ in range(2))
    for pages, length in zip(table, lengths, strict=True):
        for first, which in enumerate(pages):
            used = max(0, int(length) - first * page)
            k[:, which, used:], v[:, which, used:] = LEFTOVER, -LEFTOVER
    bf16 = (array.astype(ml_dtypes.bfloat16) for array in (q, k, v))
    return *bf16, lengths.astype(np.int32), table.astype(np.int32)


def priced_with(shape: dict[str, int]) -> dict[int, np.ndarray]:
    """Lengths and table that a price is for: the lengths of `normal` in some order, pages strewn over the pool."""
    B, _, _, _, page, L = _sizes(shape)
    rng = np.random.default_rng(0)
    lengths = rng.permutation(_lengths(B, L)).astype(np.int32)
    return {3: lengths, 4: rng.permutation(B * L // page).reshape(B, L // page).astype(np.int32)}


def reference(q, k, v, lengths, table) -> tuple[np.ndarray, ...]:
    """The definition, sequence by sequence and head by head, in float64, on the inputs as rounded to bfloat16."""
    q, k, v = (np.asarray(array).astype(np.float64) for array in (q, k, v))
    B, H, D = q.shape
    group = H // k.shape[0]
    o = np.empty_like(q)
    for b, h in np.ndindex(B, H):
        keys, values = (x[h // group, table[b]].reshape(-1, D)[: lengths[b]] for x in (k, v))
        logits = keys @ q[b, h] / np.sqrt(D)
        weights = np.exp(logits - logits.max())
        o[b, h] = weights / weights.sum() @ values
    if o.dtype != np.float64:
        raise TypeError("the oracle must not lose precision")
    return (o,)


def cost(shape: dict[str, int]) -> tuple[int, int]:
    """(flops, bytes): two products with every key that counts; those keys and values, q and o moved once."""
    B, H, Hk, D, _, L = _sizes(shape)
    keys = int(_lengths(B, L).sum())
    moved = BF16_BYTES * D * (2 * Hk * keys + 2 * B * H) + INT32_BYTES * B
    return 4 * H * D * keys, moved


def _lengths(B: int, L: int) -> np.ndarray:
    """B lengths from half of L to L; most are no multiple of a page."""
    return (L - np.arange(B) * (L // 2) // B).astype(np.int64)


def _sizes(shape: dict[str, int]) -> tuple[int, ...]:
    B, H, Hk, D, page, L = (shape[axis] for axis in ("B", "H", "Hk", "D", "page", "L"))
    if H % Hk or L % page or 2 * page > L:
        raise ValueError(f"H={H} must be a multiple of Hk={Hk}, L={L} of page={page}, and at least two pages")
    return B, H, Hk, D, page, L
