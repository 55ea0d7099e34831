"""Composites: operations that jax serialises as a name with a decomposition beside it.

XLA's front end, which the CPU's and the TPU's compiler share, turns a composite of these names and of version 1 back
into the operation it stands for and throws the decomposition away; it was held against both compilers with
decompositions that lie. So the decomposition is never believed here: either XLA is given the composite as it is, or,
where the CPU has no such operation, NumPy carries it out from its name and attributes. What has another name or
version is refused: its decomposition would run here, while a TPU's compiler may know the name.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxlib.mlir import ir
from mosaic_build import integers  # type: ignore[import-not-found]
from mosaic_types import Unreplayable, dtype_named  # type: ignore[import-not-found]

COMPOSITE = "stablehlo.composite"
RAGGED_DOT = "chlo.ragged_dot"
_BY_XLA = {
    f"chlo.{name}"
    for name in ("acos", "acosh", "asin", "asinh", "atanh", "cosh", "erf", "erf_inv", "sinh", "tan", "top_k")
}
_NUMBERS = "ragged_dot_dimension_numbers"
# rows of [M,K] belong to groups, each with a matrix of [G,K,N]: no batch; contracting 1 and 1; ragged 0; groups 0
_ROWS_BY_GROUP = [[], [], [1], [1], [0], [0]]

Call = Callable[..., tuple[Any, ...]]


def composite_name(operation: Any) -> str:
    return str(ir.StringAttr(operation.attributes["name"]).value)


def by_numpy(operation: Any) -> Call | None:
    """How NumPy carries out a composite; None where XLA does it by itself.

    Raises:
        Unreplayable: one that has to be believed, or a form that is not known here.
    """
    name = composite_name(operation)
    if name not in {*_BY_XLA, RAGGED_DOT}:
        raise Unreplayable(f"composite {name}")
    if "version" not in operation.attributes or int(ir.IntegerAttr(operation.attributes["version"]).value) != 1:
        raise Unreplayable(f"composite {name} of another version")
    if name != RAGGED_DOT:
        return None
    if _dimensions(operation) != _ROWS_BY_GROUP:
        raise Unreplayable(f"composite {name} with other dimensions than [M,K] by [G,K,N]")
    rounded = precision_of(operation) == "DEFAULT"
    result = dtype_named(str(ir.RankedTensorType(operation.results[0].type).element_type))
    return lambda rows, matrices, sizes: (_ragged_dot(rows, matrices, sizes, rounded=rounded).astype(result),)


def precision_of(operation: Any) -> str:
    """The lower of the precisions that a composite names for its operands, as text; DEFAULT where it names none."""
    text = (
        str(operation.attributes["composite_attributes"]) if "composite_attributes" in operation.attributes else ""
    )
    named = re.findall(r'"(HIGHEST|HIGH|DEFAULT)"', text)
    return min(named, key=["DEFAULT", "HIGH", "HIGHEST"].index, default="DEFAULT")


def _dimensions(operation: Any) -> list[list[int]]:
    attributes = ir.DictAttr(operation.attributes["composite_attributes"])
    if {attributes[index].name for index in range(len(attributes))} != {_NUMBERS, "precision_config"}:
        raise Unreplayable("a ragged dot with unknown attributes")
    return [integers(item) for item in ir.ArrayAttr(attributes[_NUMBERS])]


def _ragged_dot(rows: Any, matrices: Any, sizes: Any, *, rounded: bool) -> Any:
    """Each group of consecutive rows times its matrix, in float32; rows beyond the last group are zero."""
    left, right = (_operand(array, rounded=rounded) for array in (rows, matrices))
    product = np.zeros((left.shape[0], right.shape[2]), left.dtype)
    first = 0
    for size, matrix in zip(sizes.tolist(), right, strict=True):
        last = min(first + size, len(left))
        product[first:last] = left[first:last] @ matrix
        first = last
    return product


def _operand(array: Any, *, rounded: bool) -> Any:
    """What the matrix unit multiplies: narrow floats exactly, float32 rounded to bfloat16 unless asked not to."""
    if array.dtype == np.float32 and rounded:
        return array.astype("bfloat16").astype(np.float32)
    if array.dtype.kind in "iu":
        return array.astype(np.int32)
    return array.astype(np.float32)
