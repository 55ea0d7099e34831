"""Constants, and conversions between types with their rounding."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxlib.mlir import ir
from mosaic_build import Node  # type: ignore[import-not-found]
from mosaic_types import Kind, bits, dtype_named, unsigned  # type: ignore[import-not-found]

Call = Callable[..., Any]
Make = Callable[[Node], Call]


def _constant(node: Node) -> Call:
    value = constant(node.operation.attributes["value"], node.result())
    return lambda: value


def constant(attribute: Any, kind: Kind) -> Any:
    """A constant attribute as a carried value."""
    if kind.shape is None:
        return _scalar(attribute, kind)
    dense = ir.DenseElementsAttr(attribute)
    if dense.is_splat:
        return np.broadcast_to(_scalar(dense.get_splat_value(), kind), kind.shape)
    raw = np.array(dense)
    if kind.narrow and raw.dtype.itemsize == kind.dtype.itemsize:
        raw = raw.view(kind.dtype)
    return raw.astype(kind.carried).reshape(kind.shape)


def _scalar(attribute: Any, kind: Kind) -> Any:
    if kind.is_float:
        return kind.settle(np.float64(ir.FloatAttr(attribute).value)).astype(kind.carried)
    number = int(ir.IntegerAttr(attribute).value)
    if kind.dtype == np.bool_:
        return np.bool_(number != 0)
    mask = (1 << (8 * kind.dtype.itemsize)) - 1
    return np.uint64(number & mask).astype(kind.dtype)


def _float_to_float(node: Node) -> Call:
    _only_to_nearest_even(node)
    result = node.result()
    source = node.kind(0)
    if result.narrow:
        return lambda x: result.settle(x)
    if result.carried == source.carried:
        return lambda x: x
    return lambda x: x.astype(result.carried)


def _only_to_nearest_even(node: Node) -> None:
    for name in ("rounding_mode", "roundingmode"):
        if node.has(name) and "nearest_even" not in node.text(name):
            raise node.unreplayable(node.text(name))


def _integer_to_float(node: Node) -> Call:
    _only_to_nearest_even(node)
    result, is_unsigned = node.result(), "uitofp" in node.name
    if node.kind(0).dtype == np.bool_:
        sign = 1 if is_unsigned else -1
        return lambda x: x.astype(result.carried) * result.carried.type(sign)
    if is_unsigned:
        return lambda x: result.settle(unsigned(x).astype(result.carried))
    return lambda x: result.settle(x.astype(result.carried))


def _float_to_integer(node: Node) -> Call:
    """Saturates, and NaN becomes 0, as XLA says; the unsaturated case is undefined in MLIR."""
    dtype = node.result().dtype
    if dtype == np.bool_:
        raise node.unreplayable("to i1")
    to_even = node.has("rounding_mode") and "nearest_even" in node.text("rounding_mode")
    target = unsigned(np.zeros((), dtype)).dtype if "fptoui" in node.name else dtype
    low, high = float(np.iinfo(target).min), float(np.iinfo(target).max)

    def convert(x: Any) -> Any:
        whole = np.rint(x) if to_even else np.trunc(x)
        wide = np.clip(np.nan_to_num(whole.astype(np.float64), nan=0.0), low, high)
        return wide.astype(target).view(dtype)

    return convert


def _integer_to_integer(node: Node) -> Call:
    source, dtype = node.kind(0).dtype, node.result().dtype
    if dtype == np.bool_:
        return lambda x: (x & 1).astype(np.bool_)
    if source == np.bool_ and node.name == "arith.extsi":
        return lambda x: -x.astype(dtype)
    if node.name in ("arith.extui", "arith.index_castui"):
        return lambda x: unsigned(x).astype(dtype)
    return lambda x: x.astype(dtype)


def _same_width_bitcast(node: Node) -> Call:
    source, result = node.kind(0), node.result()
    return lambda x: bits(x, source).view(result.dtype).astype(result.carried)


def _element_type(node: Node, name: str) -> Kind:
    return Kind(dtype_named(str(ir.TypeAttr(node.operation.attributes[name]).value)), None)


def _pack(node: Node) -> Call:
    """Several arrays side by side in the bits of wider integers, the first in the lowest."""
    target, result = _element_type(node, "target_type"), node.result()
    width = 8 * target.dtype.itemsize

    def pack(*parts: Any) -> Any:
        packed = np.zeros(result.shape, unsigned(np.zeros((), result.dtype)).dtype)
        for index, part in enumerate(parts):
            narrow = np.ascontiguousarray(part.astype(target.dtype))
            packed |= narrow.view(f"u{target.dtype.itemsize}").astype(packed.dtype) << (index * width)
        return packed.view(result.dtype)

    return pack


def _unpack(node: Node) -> Call:
    """The reverse for one of them: integers with their sign, floats widened."""
    source, result = _element_type(node, "source_type"), node.result()
    shift = 8 * source.dtype.itemsize * node.number("index")

    def unpack(packed: Any) -> Any:
        part = (unsigned(packed) >> shift).astype(f"u{source.dtype.itemsize}")
        return part.view(source.dtype).astype(result.carried)

    return unpack


PURE: dict[str, Make] = {
    "tpu.pack_elementwise": _pack,
    "tpu.unpack_elementwise": _unpack,
    "arith.constant": _constant,
    "arith.extf": _float_to_float,
    "arith.truncf": _float_to_float,
    "tpu.extf": _float_to_float,
    "tpu.truncf": _float_to_float,
    "arith.sitofp": _integer_to_float,
    "arith.uitofp": _integer_to_float,
    "tpu.sitofp": _integer_to_float,
    "tpu.uitofp": _integer_to_float,
    "arith.fptosi": _float_to_integer,
    "arith.fptoui": _float_to_integer,
    "tpu.fptosi": _float_to_integer,
    "tpu.fptoui": _float_to_integer,
    "arith.extsi": _integer_to_integer,
    "arith.extui": _integer_to_integer,
    "arith.trunci": _integer_to_integer,
    "arith.index_cast": _integer_to_integer,
    "arith.index_castui": _integer_to_integer,
    "arith.bitcast": _same_width_bitcast,
}
