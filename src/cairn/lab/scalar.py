"""Values and arithmetic of the scalar core, with one value that stands for "not known from the text".

`UNKNOWN` flows through arithmetic and may end in an address, which costs nothing. It must never decide a branch,
a predicate of a copy or a size: asking for its truth raises `UnknownControl`, and the prediction is refused.
Integers are 32 bits wide, addresses included.
"""

import operator
from collections.abc import Callable

_MASK = 0xFFFFFFFF


class UnknownControl(Exception):
    """Control flow, a copy or a wait depends on a value that the text does not contain."""


class Unknown:
    """The value that is not known; every operation on it that does not force a result gives it back."""

    __slots__ = ()

    def __bool__(self) -> bool:
        raise UnknownControl("control flow depends on a value that is not in the program")

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()
Value = int | bool | Unknown
Function = Callable[[Value, Value], Value]


def signed(value: int) -> int:
    """A 32-bit pattern as a signed number."""
    value &= _MASK
    return value - (1 << 32) if value & 0x80000000 else value


def _arithmetic(function: Callable[[int, int], int]) -> Function:
    def apply(a: Value, b: Value) -> Value:
        if a is UNKNOWN or b is UNKNOWN:
            return UNKNOWN
        return function(int(a), int(b)) & _MASK  # type: ignore[arg-type]

    return apply


def _comparison(function: Callable[[int, int], bool], *, is_signed: bool) -> Function:
    def apply(a: Value, b: Value) -> Value:
        if a is UNKNOWN or b is UNKNOWN:
            return UNKNOWN
        if is_signed:
            return function(signed(int(a)), signed(int(b)))  # type: ignore[arg-type]
        return function(int(a) & _MASK, int(b) & _MASK)  # type: ignore[arg-type]

    return apply


def _and(a: Value, b: Value) -> Value:
    if a is UNKNOWN or b is UNKNOWN:
        return 0 if a == 0 or b == 0 else UNKNOWN
    return a & b  # type: ignore[operator]


def _or(a: Value, b: Value) -> Value:
    if a is UNKNOWN or b is UNKNOWN:
        return True if a is True or b is True else UNKNOWN
    return a | b  # type: ignore[operator]


def _not(a: Value, _: Value) -> Value:
    return UNKNOWN if a is UNKNOWN else not a


def _nand(a: Value, b: Value) -> Value:
    return _not(_truth_and(a, b), False)


def _truth_and(a: Value, b: Value) -> Value:
    if a is UNKNOWN or b is UNKNOWN:
        return False if a is False or b is False else UNKNOWN
    return bool(a) and bool(b)


def _move(a: Value, _: Value) -> Value:
    return a


def _divide(a: int, b: int) -> int:
    return a // b if b else 0


def _remainder(a: int, b: int) -> int:
    return a % b if b else 0


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}

FUNCTIONS: dict[str, Function] = {
    "sadd.s32": _arithmetic(operator.add),
    "sadd.u32": _arithmetic(operator.add),
    "ssub.s32": _arithmetic(operator.sub),
    "ssub.u32": _arithmetic(operator.sub),
    "smul.u32": _arithmetic(operator.mul),
    "smul.s32": _arithmetic(operator.mul),
    "sxor.u32": _arithmetic(operator.xor),
    "sshll.u32": _arithmetic(lambda a, b: a << (b & 31) if b < 32 else 0),
    "sshrl.u32": _arithmetic(lambda a, b: (a & _MASK) >> b if b < 32 else 0),
    "sshra.s32": _arithmetic(lambda a, b: signed(a) >> min(b, 31)),
    "smin.s32": _arithmetic(lambda a, b: min(signed(a), signed(b))),
    "smax.s32": _arithmetic(lambda a, b: max(signed(a), signed(b))),
    "smin.u32": _arithmetic(min),
    "smax.u32": _arithmetic(max),
    "divide": _arithmetic(_divide),
    "remainder": _arithmetic(_remainder),
    "sand.u32": _and,
    "sor.u32": _or,
    "smov.u32": _move,
    "smov.s32": _move,
    "pmov": _move,
    "pneg": _not,
    "pand": _truth_and,
    "por": _or,
    "pnand": _nand,
    "pxor": lambda a, b: UNKNOWN if a is UNKNOWN or b is UNKNOWN else bool(a) != bool(b),
    **{
        f"scmp.{name}.{kind}.totalorder": _comparison(function, is_signed=kind == "s32")
        for name, function in _COMPARISONS.items()
        for kind in ("s32", "u32")
    },
    **{f"scalar_lea.{space}": _arithmetic(operator.add) for space in ("hbm", "vmem", "smem", "sflag", "cmem")},
}
