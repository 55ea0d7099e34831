"""Which calls of LAPACK in a program are as jax would make them, so that they stay in their arrays and fill them.

Behind these calls is native code that believes the shapes it is given. With others it reads and writes beside its
arrays, in a process that is not locked in; and what it leaves unwritten holds what somebody else has left there, such
as the incumbent's answer. So only routines are let through that write all of their results whatever happens, and only
with shapes that fit. Decompositions that may give up half way (eigenvalues, singular values) are not among them.
"""

import re
from collections.abc import Callable
from typing import Any

from jaxlib.mlir import ir
from mosaic_types import Unreplayable  # type: ignore[import-not-found]

_Type = tuple[tuple[int, ...], str]
_Types = list[_Type]
_NAME = re.compile(r"lapack_([sdcz])(\w+)_ffi")
_ELEMENTS = {"s": "f32", "d": "f64", "c": "complex<f32>", "z": "complex<f64>"}
_LEFT, _RIGHT = ord("L"), ord("R")


def fits(operation: Any, target: str) -> bool:
    """Whether the custom call `target` has the shapes and types that its routine works on; True for any other call.

    Raises:
        Unreplayable: a routine that may leave results unwritten.
    """
    named = _NAME.fullmatch(target)
    if named is None:
        return True
    results = _RESULTS.get(named[2])
    if results is None:
        raise Unreplayable(f"{target} may end without a result, and what it leaves unwritten is anybody's")
    operands = [_type_of(operand) for operand in operation.operands]
    if any(element != _ELEMENTS[named[1]] for _, element in operands):
        return False
    try:
        expected = results(operation, operands)
    except (ValueError, IndexError):  # not so many operands, or not of so many dimensions
        return False
    return expected == [_type_of(result) for result in operation.results]


def _type_of(value: Any) -> _Type:
    tensor = ir.RankedTensorType(value.type)
    return tuple(tensor.shape), str(tensor.element_type)


def _matrix(operand: _Type) -> tuple[tuple[int, ...], int, int]:
    """Dimensions of a batch of matrices: those of the batch, rows, columns."""
    *batch, rows, columns = operand[0]
    return tuple(batch), rows, columns


def _whole(batch: tuple[int, ...]) -> _Type:
    return batch, "i32"


def _cholesky(operation: Any, operands: _Types) -> _Types:
    (a,) = operands
    batch, rows, columns = _matrix(a)
    return [a, _whole(batch)] if rows == columns else []


def _lu(operation: Any, operands: _Types) -> _Types:
    (a,) = operands
    batch, rows, columns = _matrix(a)
    return [a, _whole((*batch, min(rows, columns))), _whole(batch)]


def _qr(operation: Any, operands: _Types) -> _Types:
    (a,) = operands
    batch, rows, columns = _matrix(a)
    return [a, ((*batch, min(rows, columns)), a[1])]


def _reflectors(operation: Any, operands: _Types) -> _Types:
    """Householder reflectors multiplied out: not more columns than rows, not more reflectors than columns."""
    a, (of_factors, _) = operands
    batch, rows, columns = _matrix(a)
    return [a] if of_factors[:-1] == batch and rows >= columns >= of_factors[-1] else []


def _triangular(operation: Any, operands: _Types) -> _Types:
    a, b = operands
    batch, rows, columns = _matrix(b)
    size = {_LEFT: rows, _RIGHT: columns}.get(_side(operation))
    return [b] if a[0] == (*batch, size, size) else []


def _tridiagonal(operation: Any, operands: _Types) -> _Types:
    *diagonals, b = operands
    batch, rows, _ = _matrix(b)
    of_one = ((*batch, rows), b[1])
    return [*diagonals, b, _whole(batch)] if diagonals == [of_one] * 3 else []


def _side(operation: Any) -> int:
    """The side on which the triangle stands, as LAPACK's letter; 0 where it is not told."""
    told = re.findall(r"\bside = (\d+) : ui8", str(operation.attributes["mhlo.backend_config"]))
    return int(told[0]) if len(told) == 1 else 0


_RESULTS: dict[str, Callable[[Any, _Types], _Types]] = {
    "potrf": _cholesky,
    "getrf": _lu,
    "geqrf": _qr,
    "orgqr": _reflectors,
    "ungqr": _reflectors,
    "trsm": _triangular,
    "gtsv": _tridiagonal,
}
