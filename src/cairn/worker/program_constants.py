"""Tables in a program, in its kernels and round them: how large they are, and what stands in them.

jax's bindings have no Python class for some tables (complex numbers); those are read from the operation's text.
"""

import re
from collections.abc import Set
from typing import Any

import numpy as np
from jaxlib.mlir import ir
from mosaic_ops_convert import constant  # type: ignore[import-not-found]
from mosaic_types import Unreplayable, kind_of  # type: ignore[import-not-found]

LEAST_BYTES = 64
_COMPLEX = {"complex<f32>": np.complex64, "complex<f64>": np.complex128}


def constant_fact(operation: Any, where: str) -> dict[str, Any] | None:
    """A constant with values of its own; None for scalars, splats and small ones."""
    type_ = operation.results[0].type
    text = str(type_)
    if not text.startswith(("tensor<", "vector<")) or _is_splat(operation):
        return None
    size = _elements(type_) * _bits(str(ir.ShapedType(type_).element_type)) // 8
    return {"where": where, "type": text, "bytes": size} if size >= LEAST_BYTES else None


def constant_contents(operation: Any, sizes: Set[int]) -> list[Any]:
    """The values of a constant in float64, if it has one of these numbers of elements and not one value only.

    Complex numbers are two tables.
    """
    type_ = operation.results[0].type
    if not str(type_).startswith(("tensor<", "vector<")) or _is_splat(operation) or _elements(type_) not in sizes:
        return []
    element = _COMPLEX.get(str(ir.ShapedType(type_).element_type))
    if element is not None:
        raw = re.search(r'dense<"0x([0-9A-F]+)">', operation.get_asm())
        values: Any = np.frombuffer(bytes.fromhex(raw[1]) if raw else b"", element)
        return [values.real.astype(np.float64), values.imag.astype(np.float64)]
    try:
        return [constant(operation.attributes["value"], kind_of(type_)).astype(np.float64)]
    except Unreplayable:  # of a type that no output has
        return []


def _is_splat(operation: Any) -> bool:
    try:
        attribute = operation.attributes["value"]
    except TypeError:
        return re.search(r"dense<\(", operation.get_asm()) is not None
    return isinstance(attribute, ir.DenseElementsAttr) and bool(attribute.is_splat)


def _elements(type_: Any) -> int:
    return int(np.prod(ir.ShapedType(type_).shape, dtype=np.int64))


def _bits(element: str) -> int:
    """Width of an element from its type's name: `f32`, `bf16`, `ui4`, `f8E4M3FN`, `complex<f32>`, `index`."""
    if element.startswith("complex<"):
        return 2 * _bits(element.removeprefix("complex<").rstrip(">"))
    digits = re.match(r"\D*(\d+)", element)
    return int(digits[1]) if digits else 64
