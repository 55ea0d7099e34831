"""What values an input may have: as the problem declares them, or as far as its own draws show them.

The judge makes input families of its own (`own_families.py`) and must not ask a kernel for what the problem never
promised: a decay that grows, a mask of noise, keys without unit length. A reference may say so by

    def input_domains(shape) -> list: ...     # one entry an input: None, "as drawn", "unit rows", or (low, high)

where an end that is None is open. What it leaves out (None) is learned, cautiously, from one draw of every family.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

AS_DRAWN, UNIT_ROWS = "as drawn", "unit rows"
# so few different values are a mask, a flag or a code, not a quantity
_FEW_VALUES = 16
_LEAST_ELEMENTS = 64
# bfloat16 has eight bits: a row of unit length is off by less than this
_UNIT_SLACK = 0.02
# positive values within one order of magnitude: scales, temperatures; zero is not among them
_NARROW = 20.0


@dataclass(frozen=True)
class Domain:
    """Values of one input; `varies` is False for what only the problem itself may draw.

    `rows`: what the entries along the last axis do: `free`, `unit` length, or a `sum` of one.
    """

    varies: bool = True
    low: float = -math.inf
    high: float = math.inf
    rows: str = "free"

    @property
    def text(self) -> str:
        if not self.varies:
            return AS_DRAWN
        rows = {"free": "", "unit": ", rows of unit length", "sum": ", rows that sum to one"}[self.rows]
        return f"{self.low:g} to {self.high:g}{rows}"

    def holds(self, array: Any) -> Any:
        """The nearest values in this domain, in float64."""
        inside = np.clip(array, self.low, self.high)
        if self.rows == "free":
            return inside
        size = (
            np.sqrt((inside**2).sum(axis=-1, keepdims=True))
            if self.rows == "unit"
            else inside.sum(axis=-1, keepdims=True)
        )
        return inside / np.where(size == 0, 1, size)


def domains_of(draws: Sequence[Sequence[Any]], declared: Sequence[Any] | None) -> list[Domain]:
    """The domain of every input, from draws of all families (the same inputs in each) and what is declared.

    Raises:
        ValueError: a declaration that says nothing this can read.
    """
    learned = [_learned([np.asarray(array) for array in column]) for column in zip(*draws, strict=True)]
    if declared is None:
        return learned
    if len(declared) != len(learned):
        raise ValueError(f"input_domains names {len(declared)} inputs, make_inputs draws {len(learned)}")
    return [
        _declared(said, known, place) for place, (said, known) in enumerate(zip(declared, learned, strict=True))
    ]


def _declared(said: Any, learned: Domain, place: int) -> Domain:
    if said is None:
        return learned
    if said == AS_DRAWN:
        return Domain(varies=False)
    if said == UNIT_ROWS:
        return replace(learned, rows="unit")
    try:
        low, high = (
            end if given is None else float(given) for given, end in zip(said, (-math.inf, math.inf), strict=True)
        )
    except (TypeError, ValueError):
        hint = f'None, "{AS_DRAWN}", "{UNIT_ROWS}" or (low, high)'
        raise ValueError(f"input_domains says {said!r} of input {place}; it may say {hint}") from None
    if not low < high:
        raise ValueError(f"input_domains says {said!r} of input {place}: the first must be the smaller")
    return Domain(low=low, high=high)


def _learned(column: Sequence[Any]) -> Domain:
    """One input over all draws. Whole numbers, masks and what is not finite stay as the problem draws them."""
    first = column[0]
    whole = np.issubdtype(first.dtype, np.integer) or first.dtype == np.bool_ or first.dtype.kind in "cOSU"
    if whole or first.size == 0:
        return Domain(varies=False)
    wide = [array.astype(np.float64) for array in column]
    if not all(np.isfinite(array).all() for array in wide):
        return Domain(varies=False)
    together = np.concatenate([array.ravel() for array in wide])
    if together.size >= _LEAST_ELEMENTS and len(np.unique(together)) <= _FEW_VALUES:
        return Domain(varies=False)
    low, high = _bounds(float(together.min()), float(together.max()))
    return Domain(low=low, high=high, rows=_rows(wide, low))


def _bounds(low: float, high: float) -> tuple[float, float]:
    """Both signs: anything. One sign: that sign, and of what is negative no more than the problem itself draws."""
    if low < 0 < high:
        return -math.inf, math.inf
    if low > 0 and high < _NARROW * low:
        return low, high
    if low >= 0:
        return 0.0, 1.0 if high <= 1 else math.inf
    return low, min(high, 0.0)


def _rows(wide: Sequence[Any], low: float) -> str:
    if wide[0].ndim == 0 or wide[0].shape[-1] < 2:
        return "free"
    if all(np.abs(np.sqrt((array**2).sum(axis=-1)) - 1).max() <= _UNIT_SLACK for array in wide):
        return "unit"
    if low >= 0 and all(np.abs(array.sum(axis=-1) - 1).max() <= _UNIT_SLACK for array in wide):
        return "sum"
    return "free"
