"""Are these the outputs? Exact form first, then every element finite, then three error measures per output.

The first two are relative to the size of the truth, rms(truth); the third looks only at the half of the elements
whose truth is smallest, relative to that half, because what is left out there drowns in the other half:

    rms   = rms(output - truth) / rms(truth)        how wrong it is on the whole
    peak  = max|output - truth| / rms(truth)        how wrong the worst element is
    small = rms(output - truth) / rms(truth)        how wrong the small elements are

A variant may be `multiple` times as wrong as the problem's baseline is on the same inputs, and never has to be
better than the floor of the output's type. Small elements are often differences of large ones, whose rounding is a
matter of luck: there the allowance is wider, and only an answer that is half wrong or worse is refused anyway.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn.judge.verdict import Ruling
from cairn.problem import Tolerance

Array = NDArray[Any]
# the worst of many elements lies further out than their rms; honest rounding stays well inside this factor
PEAK_PER_RMS_FLOOR = 16.0
# an element is rounded in proportion to its own size, and may be off by a few units of it
_UNITS_OF_THE_LARGEST = 4.0
_SMALL_PER_BASELINE, _SMALL_PER_FLOOR, _SMALL_AT_LEAST = 4.0, 32.0, 0.25
_DECODED = {
    "float64",
    "float32",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint32",
    "uint16",
    "uint8",
    "bool",
}


@dataclass(frozen=True)
class Wire:
    """One array as it came over the wire: type name, shape, raw bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class OutputError:
    """How far one output is from the truth, how far it may be, and whether that holds."""

    output: str
    rms: float
    peak: float
    allowed_rms: float
    allowed_peak: float
    finite: bool
    small: float = 0.0
    allowed_small: float = float("inf")

    @property
    def ok(self) -> bool:
        # "not within" instead of "above": a NaN must fail every comparison
        close = self.rms <= self.allowed_rms and self.peak <= self.allowed_peak
        return self.finite and close and self.small <= self.allowed_small

    @property
    def margin(self) -> float:
        """Share of the allowance that was used: 1 is the limit."""
        return max(self.rms / self.allowed_rms, self.peak / self.allowed_peak) if self.finite else float("inf")

    def record(self) -> dict[str, Any]:
        record = {**asdict(self), "ok": self.ok}
        if self.allowed_small == float("inf"):
            record["allowed_small"] = None
        return record


def decode(array: Wire, where: NDArray[np.bool_] | None = None) -> Array:
    """Bytes of the wire as float64 (exact for every type that is accepted); only the elements `where`, if given.

    Raises:
        ValueError: an unknown type, or the bytes do not fill the shape.
    """
    raw = _raw(array)
    chosen = raw if where is None else raw[where]
    if array.dtype == "bfloat16":
        return (chosen.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return chosen.astype(np.float64)


def _raw(array: Wire) -> Array:
    """The elements as they came; those of bfloat16 as 16 bits."""
    narrow = array.dtype == "bfloat16"
    if not narrow and array.dtype not in _DECODED:
        raise ValueError(f"type {array.dtype} cannot be compared")
    return np.frombuffer(array.data, dtype=np.uint16 if narrow else array.dtype).reshape(array.shape)


def check_form(
    outputs: Sequence[Wire], truth: Sequence[Array], names: Sequence[str], dtypes: Sequence[str]
) -> Ruling | None:
    """None when number, types and shapes are exactly as declared."""
    if len(outputs) != len(truth):
        return Ruling("wrong_shape", f"{len(outputs)} outputs instead of {len(truth)}")
    for output, expected, name, dtype in zip(outputs, truth, names, dtypes, strict=True):
        if output.dtype != dtype:
            return Ruling("wrong_shape", f"`{name}` is {output.dtype} instead of {dtype}")
        if output.shape != expected.shape:
            return Ruling("wrong_shape", f"`{name}` has shape {output.shape} instead of {expected.shape}")
        try:
            _raw(output)
        except ValueError as error:
            return Ruling("wrong_shape", f"`{name}`: {error}")
    return None


def distance(output: Array, truth: Array) -> tuple[float, float]:
    """(rms, peak) of an output against the float64 truth; infinite when the output is not finite."""
    if not np.isfinite(output).all():
        return float("inf"), float("inf")
    if truth.size == 0:
        return 0.0, 0.0
    size = rms_of(truth) or 1.0
    error = output - truth
    return rms_of(error) / size, max(float(error.max()), -float(error.min())) / size


def rms_of(array: Array) -> float:
    """Root mean square, without a square of every element in memory; 0 for no elements."""
    flat = array.ravel()
    return math.sqrt(float(np.einsum("i,i->", flat, flat)) / flat.size) if flat.size else 0.0


def compare(
    name: str, dtype: str, candidate: Array, baseline: Array, truth: Array, tolerance: Tolerance
) -> OutputError:
    """One output of a variant against the truth, with the allowance that the baseline's own error gives."""
    if truth.dtype != np.float64:
        raise TypeError(f"the truth for `{name}` is {truth.dtype}, not float64")
    floor = tolerance.floor_of(dtype)
    baseline_rms, baseline_peak = distance(baseline, truth)
    rms, peak = distance(candidate, truth)
    small, baseline_small = distance_of_small((candidate, baseline), truth)
    return OutputError(
        output=name,
        rms=rms,
        peak=peak,
        allowed_rms=max(tolerance.multiple * baseline_rms, floor),
        allowed_peak=max(tolerance.multiple * baseline_peak, peak_floor(floor, truth)),
        finite=bool(np.isfinite(candidate).all()),
        small=small,
        allowed_small=max(
            _SMALL_PER_BASELINE * tolerance.multiple * baseline_small, _SMALL_PER_FLOOR * floor, _SMALL_AT_LEAST
        ),
    )


def peak_floor(floor: float, truth: Array) -> float:
    """The peak that every honest answer may have, for the floor of its rms: by far the most of one element's size."""
    size = rms_of(truth)
    largest = float(np.max(np.abs(truth))) / size if size else 0.0
    return floor * max(PEAK_PER_RMS_FLOOR, _UNITS_OF_THE_LARGEST * largest)


def compare_as_before(allowed: Sequence[Mapping[str, Any]], candidate: Array, truth: Array) -> OutputError:
    """One output of a variant against the truth, with the widest allowance of earlier checks, at least one.

    Raises:
        ValueError: there was none.
    """
    rms, peak = distance(candidate, truth)
    (small,) = distance_of_small([candidate], truth)
    smalls = [check["allowed_small"] for check in allowed]
    return OutputError(
        output=allowed[0]["output"] if allowed else "",
        rms=rms,
        peak=peak,
        allowed_rms=max(check["allowed_rms"] for check in allowed),
        allowed_peak=max(check["allowed_peak"] for check in allowed),
        finite=bool(np.isfinite(candidate).all()),
        small=small,
        allowed_small=float("inf") if None in smalls else max(smalls),
    )


def distance_of_small(outputs: Sequence[Array], truth: Array) -> list[float]:
    """The error of each of `outputs` over the half of the elements whose truth is smallest, relative to that half.

    Zero where that half is exactly zero, which peak and rms deal with.
    """
    sizes = np.abs(truth).ravel()
    chosen = sizes <= np.median(sizes) if sizes.size else np.zeros(0, np.bool_)
    size = rms_of(sizes[chosen])
    if not size:
        return [0.0 for _ in outputs]
    errors = [(output.ravel() - truth.ravel())[chosen] for output in outputs]
    return [rms_of(error) / size if np.isfinite(error).all() else np.inf for error in errors]


def rule(errors: Sequence[OutputError], where: str) -> Ruling | None:
    """None when every output holds, otherwise the ruling for the first that does not."""
    for error in errors:
        if not error.finite:
            return Ruling("non_finite", f"`{error.output}` on {where}")
        if not error.ok:
            text = f"`{error.output}` on {where}: rms {error.rms:.2e} of {error.allowed_rms:.2e} allowed"
            text += f", peak {error.peak:.2e} of {error.allowed_peak:.2e}"
            return Ruling("wrong_output", f"{text}, small elements {error.small:.2e} of {error.allowed_small:.2e}")
    return None
