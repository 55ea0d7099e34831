"""Where arithmetic on the chip, or in its compiler, is not NumPy's: the smallest floats, and division by zero.

Neither has denormal floats: they are zero to whatever computes or compares. XLA's threads, on which kernels are
replayed, treat them so too, but what a kernel computes of constants alone is worked out beforehand, elsewhere. A
program could be right with a number that exists here only, and have no work at all where the compiler folds it.

Nobody says what an integer divided by zero is; the compiler takes whatever saves work. So it is another number each
time: whoever looks at it is wrong, and whoever makes it and looks away is not harmed.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

_LEAST = np.finfo(np.float32).tiny
_COMPUTING = {
    *(f"arith.{name}" for name in ("addf", "subf", "mulf", "divf", "remf", "cmpf", "truncf", "extf")),
    *(f"arith.{name}" for name in ("maximumf", "minimumf", "maxnumf", "minnumf", "fptosi", "fptoui")),
    *(f"tpu.{name}" for name in ("truncf", "extf", "fptosi", "fptoui", "reciprocal", "matmul")),
    *("tpu.all_reduce", "tpu.reduce_index", "vector.multi_reduction", "vector.reduction"),
}
_any = random.SystemRandom()


def computes(name: str) -> bool:
    """Whether an operation takes floats as numbers; others hand on their bits."""
    return name in _COMPUTING or name.startswith("math.")


def flushed(value: Any) -> Any:
    """A value with zeros, of its signs, in the place of denormal floats."""
    if getattr(value, "dtype", None) != np.float32:
        return value
    small = np.abs(value) < _LEAST
    return np.where(small, np.copysign(np.float32(0), value), value)[()] if small.any() else value


def unless_by_zero(divide: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A division of integers whose results by zero are nothing that a program could count on."""

    def call(a: Any, b: Any) -> Any:
        by_zero = b == 0
        if not by_zero.any():
            return divide(a, b)
        made = divide(a, np.where(by_zero, b.dtype.type(1), b)[()])
        top = np.iinfo(made.dtype).max
        return np.where(by_zero, made.dtype.type(_any.randint(1, top)), made)[()]

    return call
