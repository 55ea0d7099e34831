"""Loads, stores, views of buffers, copies and semaphores."""

from collections.abc import Callable
from typing import Any

import numpy as np
from mosaic_build import Node  # type: ignore[import-not-found]
from mosaic_memory import Packed, allocate, memref_parts, region  # type: ignore[import-not-found]
from mosaic_types import OutOfBounds, dtype_named  # type: ignore[import-not-found]

Call = Callable[..., Any]
Make = Callable[[Node], Call]
_DYNAMIC = -(2**63)


def _padded(sizes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """A vector of lower rank than its buffer covers the last dimensions."""
    return (1,) * (rank - len(sizes)) + tuple(sizes)


def _locator(node: Node, indices: Any, sizes: tuple[int, ...], strides: list[int]) -> Call:
    """From a buffer and the values of the indices to slices; constant indices are checked once."""
    buffer_type = node.operation.opview.base.type
    shape, _ = memref_parts(buffer_type)
    strides = strides or [1] * len(shape)
    known = [node.known(index) for index in indices]
    if any(value is None for value in known):
        return lambda buffer, given: region(buffer, [int(value) for value in given], sizes, strides)
    constant = region(np.broadcast_to(np.int8(0), shape), [int(value) for value in known], sizes, strides)
    return lambda buffer, given: constant


def _load(node: Node) -> Call:
    view, result = node.operation.opview, node.result()
    if node.name == "tpu.vector_load" and view.mask is not None:
        raise node.unreplayable("with a mask")
    shape, _ = memref_parts(view.base.type)
    strides = node.numbers("strides") if node.has("strides") else []
    locate = _locator(node, view.indices, _padded(result.shape, len(shape)), strides)
    reshaped = result.shape if len(result.shape) != len(shape) else None

    def load(buffer: Any, *indices: Any) -> Any:
        made = np.array(buffer[locate(buffer, indices)], result.carried, order="C")
        return made if reshaped is None else made.reshape(reshaped)

    return load


def _store(node: Node) -> Call:
    view, kind = node.operation.opview, node.kind(0)
    shape, element = memref_parts(view.base.type)
    strides = node.numbers("strides") if node.has("strides") else []
    sizes = _padded(kind.shape, len(shape))
    locate = _locator(node, view.indices, sizes, strides)
    masked = node.name == "tpu.vector_store" and view.mask is not None
    if node.has("add") and "true" in node.text("add"):
        raise node.unreplayable("that adds")
    if dtype_named(element) != kind.dtype:
        raise node.unreplayable(f"{kind.dtype} into {element}")

    def store(value: Any, buffer: Any, *indices: Any) -> None:
        buffer[locate(buffer, indices)] = value.reshape(sizes)

    def store_masked(value: Any, buffer: Any, *rest: Any) -> None:
        *indices, mask = rest
        window = buffer[locate(buffer, indices)]
        window[mask.reshape(sizes)] = value.reshape(sizes)[mask.reshape(sizes)]

    return store_masked if masked else store


def _load_scalar(node: Node) -> Call:
    result = node.result()

    def load(buffer: Any, *indices: Any) -> Any:
        return buffer[_element(buffer, indices)].astype(result.carried)

    return load


def _store_scalar(node: Node) -> Call:
    def store(value: Any, buffer: Any, *indices: Any) -> None:
        buffer[_element(buffer, indices)] = value

    return store


def _element(buffer: Any, indices: Any) -> tuple[int, ...]:
    where = tuple(int(index) for index in indices)
    if not all(0 <= index < extent for index, extent in zip(where, buffer.shape, strict=True)):
        raise OutOfBounds(f"element {where} of a buffer of shape {buffer.shape}")
    return where


def _allocate(node: Node) -> Call:
    type_ = node.results[0].type
    return lambda *sizes: allocate(type_)


def _slice(node: Node) -> Call:
    view = node.operation.opview
    if len(view.dynamic_sizes):
        raise node.unreplayable("with a dynamic size")
    sizes, _ = memref_parts(node.results[0].type)
    strides = [1] * len(sizes)

    def cut(buffer: Any, *starts: Any) -> Any:
        return _view(node, buffer)[region(buffer, [int(start) for start in starts], sizes, strides)]

    return cut


def _view(node: Node, buffer: Any) -> Any:
    """A buffer that can be cut and reshaped without losing sight of its memory."""
    if isinstance(buffer, Packed):
        raise node.unreplayable("of a buffer seen with another width")
    return buffer


def _reshape(node: Node) -> Call:
    shape, _ = memref_parts(node.results[0].type)

    def reshape(buffer: Any) -> Any:
        made = _view(node, buffer).reshape(shape)
        if made.size and not np.may_share_memory(made, buffer):
            raise node.unreplayable("of a buffer that is not contiguous")
        return made

    return reshape


def _same_buffer(node: Node) -> Call:
    if memref_parts(node.operands[0].type) != memref_parts(node.results[0].type):
        raise node.unreplayable(f"{node.operands[0].type} to {node.results[0].type}")
    return lambda buffer: buffer


def _bitcast(node: Node) -> Call:
    (shape, element), (_, source) = memref_parts(node.results[0].type), memref_parts(node.operands[0].type)
    dtype = dtype_named(element)
    if dtype.itemsize == dtype_named(source).itemsize:
        return lambda buffer: buffer.view(dtype).reshape(shape)

    def pack(buffer: Any) -> Packed:
        packed = Packed(buffer, dtype)
        if packed.shape != shape:
            raise node.unreplayable(f"{packed.shape} as {shape}")
        return packed

    return pack


def _only_here(node: Node, *names: str) -> None:
    view = node.operation.opview
    if any(getattr(view, name, None) is not None for name in names):
        raise node.unreplayable("to another device or core")


def _start_copy(node: Node) -> Call:
    view = node.operation.opview
    _only_here(node, "device_id", "core_id", "subcore_id")
    if view.source_semaphore is not None or view.target_semaphore is None:
        raise node.unreplayable("with a semaphore at the source")
    places = [list(node.operands).index(value) for value in (view.source, view.target, view.target_semaphore)]

    def start(*operands: Any) -> None:
        source, target, semaphore = (_view(node, operands[place]) for place in places)
        if source.shape != target.shape or source.dtype != target.dtype:
            raise node.unreplayable(f"{source.dtype}{source.shape} to {target.dtype}{target.shape}")
        semaphore.item().begin_copy(source, target)

    return start


def _wait_for_copy(node: Node) -> Call:
    _only_here(node, "device_id", "core_id")

    def wait(semaphore: Any, source: Any, target: Any) -> None:
        semaphore.item().wait_for_copy(target.nbytes)

    return wait


def _signal(node: Node) -> Call:
    _only_here(node, "device_id", "core_id", "subcore_id")

    def signal(semaphore: Any, amount: Any) -> None:
        semaphore.item().count += int(amount)

    return signal


def _wait_for_signal(node: Node) -> Call:
    return lambda semaphore, amount: semaphore.item().wait_for_signal(int(amount))


def _read_semaphore(node: Node) -> Call:
    return lambda semaphore: np.int32(semaphore.item().count)


READS: dict[str, Make] = {
    "vector.load": _load,
    "tpu.vector_load": _load,
    "tpu.strided_load": _load,
    "memref.load": _load_scalar,
    "tpu.memref_slice": _slice,
    "tpu.memref_squeeze": _reshape,
    "tpu.memref_reshape": _reshape,
    "tpu.erase_memref_layout": _same_buffer,
    "tpu.assume_layout": _same_buffer,
    "tpu.reinterpret_cast": _same_buffer,
    "memref.cast": _same_buffer,
    "tpu.memref_bitcast": _bitcast,
}
EFFECTS: dict[str, Make] = {
    "vector.store": _store,
    "tpu.vector_store": _store,
    "tpu.strided_store": _store,
    "memref.store": _store_scalar,
    "memref.alloca": _allocate,
    "tpu.sem_alloc": _allocate,
    "tpu.enqueue_dma": _start_copy,
    "tpu.wait_dma2": _wait_for_copy,
    "tpu.sem_signal": _signal,
    "tpu.sem_wait": _wait_for_signal,
    "tpu.sem_read": _read_semaphore,
}
