"""Input families of the judge's own, made from what the problem draws, for the author who forgot them.

Each looks where another kind of shortcut hides: a sample of nominal values (heavy tails), a series that only
converges on independent rows (correlated), skipped or swapped blocks (tags), a dropped term (one hot, constant), a
range that is cut off or squared beyond it (scales).
"""

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from input_domains import Domain  # type: ignore[import-not-found]

Random = np.random.Generator
PREFIX = "judge:"
_RHO = 0.95
_WIDEST = 1e3
_BEYOND_FLOAT16 = 5.5  # a power of ten; one element suffices for an infinity
_TILE = (8, 128)


def derive(name: str, seed: int, drawn: Sequence[Any], domains: Sequence[Domain]) -> tuple[Any, ...]:
    """Inputs of the family `name`, of the same shapes and types as `drawn`, each within its domain.

    Raises:
        KeyError: there is no such family.
        ValueError: nothing among the inputs may be varied in this way.
    """
    make, rng = FAMILIES[name], np.random.default_rng([seed, sum(name.encode())])
    made = [_one(make, rng, np.asarray(array), domain) for array, domain in zip(drawn, domains, strict=True)]
    if all(np.array_equal(new, old) for new, old in zip(made, drawn, strict=True)):
        raise ValueError(f"no input may be varied to be {name}")
    return tuple(made)


def _one(make: Callable[[Random, Any], Any], rng: Random, array: Any, domain: Domain) -> Any:
    if not domain.varies or array.size == 0:
        return array
    limit = float(ml_dtypes.finfo(array.dtype).max)
    wide = domain.holds(make(rng, np.atleast_1d(array.astype(np.float64))))
    return np.clip(wide, -limit, limit).astype(array.dtype).reshape(array.shape)


def _rms(x: Any) -> float:
    return float(np.sqrt(np.mean(x**2))) or 1.0


def _normal(rng: Random, x: Any) -> Any:
    return x.mean() + (x.std() or _rms(x)) * rng.standard_normal(x.shape)


def _heavy_tailed(rng: Random, x: Any) -> Any:
    return x * np.minimum(np.abs(rng.standard_t(1.5, x.shape)), _WIDEST)


def _correlated(rng: Random, x: Any) -> Any:
    """All rows (entries, of a vector) share most of one of them."""
    rows = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x[:, None]
    common = rows[rng.integers(len(rows))]
    return (_RHO * common + np.sqrt(1 - _RHO**2) * rows).reshape(x.shape)


def _constant(rng: Random, x: Any) -> Any:
    """One value everywhere, not too small a one."""
    candidates = np.sort(np.abs(x).ravel())
    size = rng.choice(candidates[len(candidates) // 2 :])
    return np.full_like(x, size if (x == size).any() else -size)


def _one_hot(rng: Random, x: Any) -> Any:
    """In each row one entry, the largest, at a place of its own."""
    rows = x.reshape(-1, x.shape[-1])
    made = np.zeros_like(rows)
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)[:, 0]
    made[np.arange(len(rows)), rng.integers(0, rows.shape[1], len(rows))] = largest
    return made.reshape(x.shape)


def _blocks(rng: Random, x: Any) -> Any:
    """Every tile has a tag of its own, in random order: a tile that is left out, doubled or swapped shows."""
    tile = _TILE[-x.ndim :] if x.ndim < 2 else _TILE
    counts = [-(-size // edge) for size, edge in zip(x.shape[-len(tile) :], tile, strict=True)]
    lead = x.shape[: x.ndim - len(tile)]
    tags = rng.permutation(int(np.prod([*lead, *counts], dtype=np.int64))).reshape(*lead, *counts)
    for axis, (edge, size) in enumerate(zip(tile, x.shape[-len(tile) :], strict=True), start=len(lead)):
        tags = np.repeat(tags, edge, axis=axis).take(range(size), axis=axis)
    low, high = float(x.min()), float(x.max())
    sign = np.where(tags % 2, 1.0, -1.0) if low < 0 < high else np.float64(-1.0 if high <= 0 else 1.0)
    return sign * 2 * _rms(x) * (tags + 1) / (tags.max() + 1)


def _scales(rng: Random, x: Any) -> Any:
    """Rows (entries, of a vector) from a thousandth of what is drawn to beyond what float16 can hold."""
    size = (*x.shape[:-1], 1) if x.ndim > 1 else x.shape
    powers = rng.uniform(-3, _BEYOND_FLOAT16, size)
    powers.flat[rng.integers(powers.size)] = _BEYOND_FLOAT16
    return x * 10.0**powers


FAMILIES: dict[str, Callable[[Random, Any], Any]] = {
    "normal": _normal,
    "heavy_tailed": _heavy_tailed,
    "correlated": _correlated,
    "constant": _constant,
    "one_hot": _one_hot,
    "blocks": _blocks,
    "small": lambda rng, x: x / _WIDEST,
    "large": lambda rng, x: x * _WIDEST,
    "scales": _scales,
}
