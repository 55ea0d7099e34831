"""Types of a Mosaic program in NumPy, and the ways a replay can end without outputs.

Floats narrower than 32 bits live as float32 arrays that hold only values of their type: products of two bfloat16
numbers are then exact, matmuls go straight to BLAS, and every result is rounded to its own type where the program
says so. Memory holds the true types, so that what is not representable cannot be stored.
"""

import functools
import random
from typing import Any

import ml_dtypes
import numpy as np
from jaxlib.mlir import ir


class Unreplayable(Exception):
    """The program has something that the replay does not know. It says so instead of guessing."""


class OutOfBounds(Exception):
    """The program reads, writes or copies outside of a buffer, or breaks its own promise about an index."""


class AssertedFalse(Exception):
    """An assertion that the program carries does not hold."""


class Stuck(Exception):
    """The program waits for a copy or a signal that can no longer come."""


class NotLocal(Exception):
    """The program could see what lies outside of the part of its inputs that was drawn."""


# What a mistake of the replay's own would raise: no verdict about the program, so it becomes `Unreplayable`.
MISTAKES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

_DTYPES = {
    "i1": np.bool_,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "ui8": np.uint8,
    "ui16": np.uint16,
    "ui32": np.uint32,
    "index": np.int64,
    "bf16": ml_dtypes.bfloat16,
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
    "f8E4M3FN": ml_dtypes.float8_e4m3fn,
    "f8E5M2": ml_dtypes.float8_e5m2,
}
_NARROW_FLOATS = {np.dtype(_DTYPES[name]) for name in ("bf16", "f16", "f8E4M3FN", "f8E5M2")}
_UNSIGNED = {"int8": np.uint8, "int16": np.uint16, "int32": np.uint32, "int64": np.uint64}
_PATTERN = 0x5A  # of uninitialised integers: large, and no index that would pass a bounds check
_GARBAGE = (100.0, 400.0)  # floats of every type can hold them
_OTHER_PATTERNS = range(0x50, 0x70)
_garbage: random.Random | None = None
_is_left = False
NUMBERLESS, GARBAGE = 0, (1, 3)  # numbers of runs without garbage, and with it


def begin_run(number: int) -> None:
    """What stands in memory that nobody has written in this run of a program: NaN, or in every other one any numbers.

    A kernel that makes zeros of NaN would be right on memory full of them, and wrong on a chip, where such memory
    holds what was there before. So half of all runs leave scratch as a step has left it to the next one, the other half
    take it away where another core might be at work, which has not got it.
    """
    global _garbage, _is_left
    _garbage = random.SystemRandom() if number % 4 in GARBAGE else None
    _is_left = number % 4 in (1, 2)


def is_scratch_left() -> bool:
    """Whether steps of a parallel dimension find in scratch what others left in this run."""
    return _is_left


class Kind:
    """Type of one value: element type as stored, as carried between operations, and shape (None for scalars)."""

    __slots__ = ("carried", "dtype", "is_float", "narrow", "shape")

    def __init__(self, dtype: Any, shape: tuple[int, ...] | None) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = shape
        self.narrow = self.dtype in _NARROW_FLOATS
        self.carried = np.dtype(np.float32) if self.narrow else self.dtype
        self.is_float = self.narrow or self.dtype.kind == "f"

    def settle(self, value: Any) -> Any:
        """Round a result to this type, in the carried form."""
        if self.narrow:
            return value.astype(self.dtype).astype(np.float32)
        return value if value.dtype == self.dtype else value.astype(self.dtype)


@functools.cache
def dtype_named(name: str) -> Any:
    """NumPy's element type for MLIR's name of it."""
    if name not in _DTYPES:
        raise Unreplayable(f"element type {name}")
    return np.dtype(_DTYPES[name])


def kind_of(type_: Any) -> Kind | None:
    """Kind of a scalar, vector or tensor type; None for memrefs, semaphores and the like."""
    text = str(type_)
    if text.startswith(("vector<", "tensor<")):
        return _shaped(text, type_)
    return Kind(_DTYPES[text], None) if text in _DTYPES else None


def _shaped(text: str, type_: Any) -> Kind:
    shaped = ir.VectorType(type_) if text.startswith("vector<") else ir.RankedTensorType(type_)
    if not shaped.has_static_shape:
        raise Unreplayable(f"dynamic shape {text}")
    return Kind(dtype_named(str(shaped.element_type)), tuple(shaped.shape))


def unsigned(value: Any) -> Any:
    """The same bits read as an unsigned integer."""
    return value.view(_UNSIGNED[value.dtype.name]) if value.dtype.name in _UNSIGNED else value


def poison(shape: tuple[int, ...], dtype: Any) -> Any:
    """A buffer that nobody has written: NaN, or a pattern where there is no NaN; garbage in every other run."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.ones(shape, dtype)
    if dtype.kind in "iu":
        byte = _garbage.choice(_OTHER_PATTERNS) if _garbage else _PATTERN
        return np.full(shape, int.from_bytes(bytes([byte]) * dtype.itemsize, "little"), dtype)
    value = np.array(_garbage.uniform(*_GARBAGE) if _garbage else np.nan, dtype)
    if dtype.itemsize == 2:  # NumPy fills its own types an order of magnitude faster
        return np.full(shape, value.view(np.uint16)).view(dtype)
    return np.full(shape, value, dtype)


def bits(value: Any, kind: Kind) -> Any:
    """A carried value in its stored type, so that its bits can be looked at."""
    return value.astype(kind.dtype) if kind.narrow else value
