"""Operations on whole vectors: shapes, slices, reductions, rotations, gathers and the matrix unit."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from mosaic_build import Node  # type: ignore[import-not-found]
from mosaic_memory import repacked  # type: ignore[import-not-found]
from mosaic_types import Kind, bits  # type: ignore[import-not-found]

Call = Callable[..., Any]
Make = Callable[[Node], Call]
_DYNAMIC = -(2**63)
_ROUND_TO_MXU = Kind(np.dtype("bfloat16"), None)


def _broadcast(node: Node) -> Call:
    shape = node.result().shape
    return lambda x: np.broadcast_to(x, shape)


def _reshape(node: Node) -> Call:
    shape = node.result().shape
    return lambda x: x.reshape(shape)


def _transpose(node: Node) -> Call:
    order = node.numbers("permutation")
    return lambda x: np.ascontiguousarray(x.transpose(order))


def _concatenate(node: Node) -> Call:
    axis = node.number("dimension")
    return lambda *parts: np.concatenate(parts, axis)


def _iota(node: Node) -> Call:
    """Counts along the listed dimensions, the last of them fastest."""
    kind = node.result()
    shape = kind.shape or ()
    dimensions = node.numbers("dimensions") if node.has("dimensions") else [0]
    indices = np.indices(shape, dtype=np.int64)
    count = np.zeros(shape, np.int64)
    for dimension in dimensions:
        count = count * shape[dimension] + indices[dimension]
    value = count.astype(kind.carried)
    return lambda: value


def _extract_slice(node: Node) -> Call:
    window = _window(node.numbers("offsets"), node.numbers("sizes"), node.numbers("strides"))
    return lambda x: x[window]


def _insert_slice(node: Node) -> Call:
    source = node.kind(0).shape or ()
    offsets = node.numbers("offsets")
    sizes = [1] * (len(offsets) - len(source)) + list(source)
    strides = node.numbers("strides")
    window = _window(offsets, sizes, [1] * (len(offsets) - len(strides)) + strides)
    shape = tuple(sizes)

    def insert(part: Any, whole: Any) -> Any:
        made = np.array(whole)
        made[window] = part.reshape(shape)
        return made

    return insert


def _window(offsets: list[int], sizes: list[int], strides: list[int]) -> tuple[slice, ...]:
    return tuple(
        slice(offset, offset + (size - 1) * stride + 1, stride)
        for offset, size, stride in zip(offsets, sizes, strides, strict=False)
    )


def _extract(node: Node) -> Call:
    position = node.numbers("static_position")

    def extract(x: Any, *dynamic: Any) -> Any:
        given = iter(dynamic)
        return x[tuple(int(next(given)) if at == _DYNAMIC else at for at in position)]

    return extract


def _from_elements(node: Node) -> Call:
    shape, carried = node.result().shape, node.result().carried
    return lambda *elements: np.array(elements, carried).reshape(shape)


_COMBINE: dict[str, Any] = {
    "add": np.add,
    "mul": np.multiply,
    "maximumf": np.maximum,
    "minimumf": np.minimum,
    "maxnumf": np.fmax,
    "minnumf": np.fmin,
    "maxsi": np.maximum,
    "minsi": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def _reduce(node: Node) -> Call:
    match = re.search(r"kind<(\w+)>", node.text("kind"))
    combine = _COMBINE.get(match.group(1) if match else "")
    if combine is None:
        raise node.unreplayable(node.text("kind"))
    axes = tuple(node.numbers("reduction_dims")) if node.has("reduction_dims") else (0,)
    result = node.result()

    def reduce(x: Any, start: Any = None) -> Any:
        made = combine.reduce(x, axis=axes, dtype=None if x.dtype == np.bool_ else x.dtype)
        return result.settle(made if start is None else combine(made, start))

    return reduce


def _all_reduce(node: Node) -> Call:
    """Every element becomes the reduction along one dimension."""
    match = re.search(r"reduction_kind<(\w+)>", node.text("kind"))
    combine = {"sum": np.add, "max": np.maximum, "min": np.minimum}.get(match.group(1) if match else "")
    if combine is None:
        raise node.unreplayable(node.text("kind"))
    axis, result = node.number("dim"), node.result()
    ufunc: Any = combine
    return lambda x: np.broadcast_to(result.settle(ufunc.reduce(x, axis=axis, keepdims=True)), result.shape)


def _reduce_index(node: Node) -> Call:
    """First index of the extreme value, as jax's argmax and argmin."""
    find = np.argmax if "max" in node.text("kind") else np.argmin
    axis, dtype = node.number("axis"), node.result().dtype
    return lambda x: find(x, axis=axis).astype(dtype)


def _rotate(node: Node) -> Call:
    """Roll towards higher indices; with a stride, each slice along another dimension a step further."""
    dimension = node.number("dimension")
    static = node.number("amount") if node.has("amount") else None
    stride = node.number("stride") if node.has("stride") else None
    along = node.number("stride_dimension") if node.has("stride_dimension") else None

    def rotate(x: Any, amount: Any = static) -> Any:
        if not stride or along is None:
            return np.roll(x, int(amount), dimension)
        slices = [
            np.roll(part, int(amount) + index * stride, dimension)
            for index, part in enumerate(np.split(x, x.shape[along], along))
        ]
        return np.concatenate(slices, along)

    return rotate


def _repeat(node: Node) -> Call:
    axis, times = node.number("dimension"), node.number("times")
    return lambda x: np.concatenate([x] * times, axis)


def _gather(node: Node) -> Call:
    dimensions = node.numbers("dimensions")
    if len(dimensions) != 1:
        raise node.unreplayable("along several dimensions")
    axis = dimensions[0]
    return lambda x, indices: np.take_along_axis(x, indices % x.shape[axis], axis)


def _bitcast(node: Node) -> Call:
    """Narrow elements are packed along sublanes, so a change of width changes the second-minor size."""
    source, result = node.kind(0), node.result()
    from_bytes, to_bytes = source.dtype.itemsize, result.dtype.itemsize
    if from_bytes == to_bytes:
        return lambda x: bits(x, source).view(result.dtype).astype(result.carried)
    if node.name == "vector.bitcast" or len(result.shape or ()) < 2:
        raise node.unreplayable("with another width")
    return lambda x: repacked(bits(x, source), result.dtype).astype(result.carried)


def _matmul(node: Node) -> Call:
    """Product of the matrix unit, float32 or int32 accumulation.

    bfloat16 products are exact in float32. float32 operands at default precision are rounded to bfloat16 first, as
    the hardware does; `fp32` keeps them. The order of the sum is BLAS's.
    """
    lhs, rhs, result = node.kind(0), node.kind(1), node.result()
    exact = node.has("precision") and "fp32" in node.text("precision")
    multiply = _product(dot_dimensions(node), node)
    if not result.is_float:
        # sums of 8-bit products are exact in float64; a wrap-around at 32 bits comes with the conversion
        return lambda a, b, acc: (
            acc + multiply(a.astype(np.float64), b.astype(np.float64)).astype(np.int64).astype(result.dtype)
        )
    prepare_a = _ROUND_TO_MXU.settle if lhs.dtype == np.float32 and not exact else _as_float32
    prepare_b = _ROUND_TO_MXU.settle if rhs.dtype == np.float32 and not exact else _as_float32

    def matmul(a: Any, b: Any, acc: Any) -> Any:
        return result.settle(multiply(prepare_a(a), prepare_b(b)) + acc)

    return matmul


def _as_float32(x: Any) -> Any:
    return x.astype(np.float32, copy=False)


def dot_dimensions(node: Node) -> list[list[int]]:
    """Contracting (2), free (2), order of the output as pairs (operand, dimension), batch (2)."""
    if not node.has("dimension_numbers"):
        return [[1], [0], [0], [1], [0, 0, 1, 1], [], []]
    lists = re.findall(r"\[([\d, ]*)\]", node.text("dimension_numbers"))
    if len(lists) != 7:
        raise node.unreplayable(node.text("dimension_numbers"))
    return [[int(number) for number in numbers.split(",") if number.strip()] for numbers in lists]


def _product(dimensions: list[list[int]], node: Node) -> Call:
    """Bring both sides to [batch, free, contracted] and multiply; then order the output's dimensions."""
    contract_a, contract_b, free_a, free_b, order, batch_a, batch_b = dimensions
    axes_a, axes_b = [*batch_a, *free_a, *contract_a], [*batch_b, *contract_b, *free_b]
    made = [(0, axis) for axis in batch_a] + [(0, axis) for axis in free_a] + [(1, axis) for axis in free_b]
    wanted = list(zip(order[::2], order[1::2], strict=True))
    if sorted(made) != sorted(wanted):
        raise node.unreplayable("an output order that does not name every dimension")
    permutation = [made.index(pair) for pair in wanted]
    batches, frees, contracted = len(batch_a), len(free_a), len(contract_a)

    def multiply(a: Any, b: Any) -> Any:
        a, b = a.transpose(axes_a), b.transpose(axes_b)
        batch, rows = a.shape[:batches], a.shape[batches : batches + frees]
        columns = b.shape[batches + contracted :]
        inner = math.prod(a.shape[batches + frees :])
        flat = a.reshape(*batch, math.prod(rows), inner) @ b.reshape(*batch, inner, math.prod(columns))
        return flat.reshape(*batch, *rows, *columns).transpose(permutation)

    return multiply


PURE: dict[str, Make] = {
    "vector.broadcast": _broadcast,
    "vector.splat": _broadcast,
    "vector.shape_cast": _reshape,
    "tpu.reshape": _reshape,
    "tpu.relayout": _reshape,
    "vector.transpose": _transpose,
    "tpu.transpose": _transpose,
    "tpu.concatenate": _concatenate,
    "tpu.iota": _iota,
    "vector.step": _iota,
    "vector.extract_strided_slice": _extract_slice,
    "vector.insert_strided_slice": _insert_slice,
    "vector.extract": _extract,
    "vector.from_elements": _from_elements,
    "vector.multi_reduction": _reduce,
    "vector.reduction": _reduce,
    "tpu.all_reduce": _all_reduce,
    "tpu.reduce_index": _reduce_index,
    "tpu.rotate": _rotate,
    "tpu.dynamic_rotate": _rotate,
    "tpu.repeat": _repeat,
    "tpu.dynamic_gather": _gather,
    "tpu.bitcast": _bitcast,
    "vector.bitcast": _bitcast,
    "tpu.matmul": _matmul,
}
