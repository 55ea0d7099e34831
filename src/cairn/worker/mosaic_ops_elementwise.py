"""Elementwise operations: arithmetic with wrap-around, comparisons and mathematics."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from mosaic_arithmetic import unless_by_zero  # type: ignore[import-not-found]
from mosaic_build import Node  # type: ignore[import-not-found]
from mosaic_types import Kind, OutOfBounds, unsigned  # type: ignore[import-not-found]

Call = Callable[..., Any]
Make = Callable[[Node], Call]


def _divide_towards_zero(a: Any, b: Any) -> Any:
    quotient = np.floor_divide(a, b)
    return quotient + ((quotient * b != a) & ((a < 0) != (b < 0))).astype(quotient.dtype)


def _ceiling_division(a: Any, b: Any) -> Any:
    return -np.floor_divide(-a, b)


def _on_unsigned(call: Call) -> Call:
    return lambda *operands: call(*[unsigned(operand) for operand in operands]).view(operands[0].dtype)


def _minus_multiplied(a: Any, b: Any, c: Any) -> Any:
    return (a.astype(np.float64) * b + c).astype(a.dtype)


def _each(call: Callable[[float], float]) -> Call:
    """A function of the standard library for every element; slow, and only for what NumPy lacks."""
    ufunc = np.frompyfunc(call, 1, 1)
    return lambda x: np.asarray(ufunc(np.asarray(x, np.float64))).astype(x.dtype)


def _round_half_away(x: Any) -> Any:
    return np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x)


_FLOAT: dict[str, Call] = {
    "arith.addf": np.add,
    "arith.subf": np.subtract,
    "arith.mulf": np.multiply,
    "arith.divf": np.divide,
    "arith.remf": np.fmod,
    "arith.negf": np.negative,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax,
    "arith.minnumf": np.fmin,
    "math.absf": np.abs,
    "math.atan2": np.arctan2,
    "math.ceil": np.ceil,
    "math.copysign": np.copysign,
    "math.cos": np.cos,
    "math.erf": _each(math.erf),
    "math.exp": np.exp,
    "math.exp2": np.exp2,
    "math.expm1": np.expm1,
    "math.floor": np.floor,
    "math.fma": _minus_multiplied,
    "math.log": np.log,
    "math.log1p": np.log1p,
    "math.log2": np.log2,
    "math.powf": np.power,
    "math.round": _round_half_away,
    "math.roundeven": np.rint,
    "math.rsqrt": lambda x: 1 / np.sqrt(x),
    "math.sin": np.sin,
    "math.sqrt": np.sqrt,
    "math.tan": np.tan,
    "math.tanh": np.tanh,
    "math.trunc": np.trunc,
}
_INTEGER: dict[str, Call] = {
    "arith.addi": np.add,
    "arith.subi": np.subtract,
    "arith.muli": np.multiply,
    "arith.divsi": unless_by_zero(_divide_towards_zero),
    "arith.ceildivsi": unless_by_zero(_ceiling_division),
    "arith.floordivsi": unless_by_zero(np.floor_divide),
    "arith.divui": _on_unsigned(unless_by_zero(np.floor_divide)),
    "arith.remsi": unless_by_zero(np.fmod),
    "arith.remui": _on_unsigned(unless_by_zero(np.remainder)),
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "arith.shli": np.left_shift,
    "arith.shrsi": np.right_shift,
    "arith.shrui": _on_unsigned(np.right_shift),
    "arith.maxsi": np.maximum,
    "arith.minsi": np.minimum,
    "arith.maxui": _on_unsigned(np.maximum),
    "arith.minui": _on_unsigned(np.minimum),
    "math.absi": np.abs,
    "math.ctpop": lambda x: np.bitwise_count(unsigned(x)).astype(x.dtype),
    "math.ctlz": lambda x: _leading_zeros(x),
}
_BOOLEAN = {"arith.addi": np.logical_xor, "arith.subi": np.logical_xor, "arith.muli": np.logical_and}
_NEEDS_NO_SIGN = {"arith.andi", "arith.ori", "arith.xori", "arith.maxui", "arith.minui"}


def _leading_zeros(x: Any) -> Any:
    width = x.dtype.itemsize * 8
    wide = unsigned(x).astype(np.float64)  # exact up to 53 bits, and frexp's exponent is the bit length
    return (width - np.where(wide > 0, np.frexp(wide)[1], 0)).astype(x.dtype)


def _float(node: Node) -> Call:
    result = node.result()
    call = _FLOAT[node.name]
    if not result.narrow:
        return call
    return lambda *operands: result.settle(call(*operands))


def _integer(node: Node) -> Call:
    kind = node.result()
    if kind.dtype != np.bool_:
        if kind.dtype.itemsize == 8 and node.name == "math.ctlz":
            raise node.unreplayable("64 bits")
        return _INTEGER[node.name]
    if node.name in _BOOLEAN:
        return _BOOLEAN[node.name]
    if node.name not in _NEEDS_NO_SIGN:
        raise node.unreplayable("on i1")
    plain: dict[str, Call] = {"arith.maxui": np.logical_or, "arith.minui": np.logical_and}
    return plain.get(node.name, _INTEGER[node.name])


_COMPARE: list[Call] = [np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal]


def _compare_integers(node: Node) -> Call:
    """Predicates 0-5 are eq, ne and the signed ones; 6-9 the unsigned ones."""
    predicate: int = node.number("predicate")
    if predicate >= 6:
        call = _COMPARE[predicate - 4]
        return lambda a, b: call(unsigned(a), unsigned(b))
    if predicate >= 2 and node.kind(0).dtype == np.bool_:
        call = _COMPARE[predicate]
        return lambda a, b: call(b, a)  # as a signed bit, true is -1
    return _COMPARE[predicate]


def _ordered(call: Call) -> Call:
    return lambda a, b: call(a, b) & ~(np.isnan(a) | np.isnan(b))


def _or_unordered(call: Call) -> Call:
    return lambda a, b: call(a, b) | np.isnan(a) | np.isnan(b)


def _never(a: Any, b: Any) -> Any:
    return np.zeros(np.broadcast(a, b).shape, np.bool_)[()]


_EQ, _GT, _GE, _LT, _LE, _NE = np.equal, np.greater, np.greater_equal, np.less, np.less_equal, np.not_equal
_FLOAT_PREDICATES: list[Call] = [
    _never,
    *(_ordered(call) for call in (_EQ, _GT, _GE, _LT, _LE, _NE)),
    lambda a, b: ~(np.isnan(a) | np.isnan(b)),
    *(_or_unordered(call) for call in (_EQ, _GT, _GE, _LT, _LE, _NE)),
    lambda a, b: np.isnan(a) | np.isnan(b),
    lambda a, b: ~_never(a, b),
]


def _compare_floats(node: Node) -> Call:
    predicate: int = node.number("predicate")
    return _FLOAT_PREDICATES[predicate]


def _select(node: Node) -> Call:
    if node.kind(0).shape is None:
        return lambda condition, a, b: a if condition else b
    return np.where


def _weird(node: Node) -> Call:
    """True for NaN and infinities."""
    del node
    return lambda x: ~np.isfinite(x)


def _reciprocal(node: Node) -> Call:
    """An approximate reciprocal gets the precision of bfloat16, as in Pallas's own interpreter."""
    result = node.result()
    if not (node.has("approx") and "true" in node.text("approx")):
        return lambda x: result.settle(1 / x)
    coarse = Kind(np.dtype("bfloat16"), result.shape)
    return lambda x: result.settle(coarse.settle(1 / coarse.settle(x)))


def _assume_multiple(node: Node) -> Call:
    multiple = node.number("multiple")

    def check(value: Any) -> Any:
        if value % multiple:
            raise OutOfBounds(f"{value} was promised to be a multiple of {multiple}")
        return value

    return check


PURE: dict[str, Make] = {
    **dict.fromkeys(_FLOAT, _float),
    **dict.fromkeys(_INTEGER, _integer),
    "arith.cmpi": _compare_integers,
    "arith.cmpf": _compare_floats,
    "arith.select": _select,
    "tpu.weird": _weird,
    "tpu.reciprocal": _reciprocal,
    "tpu.assume_multiple": _assume_multiple,
}
