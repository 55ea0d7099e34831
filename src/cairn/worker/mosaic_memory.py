"""Buffers, semaphores and copies of a replayed kernel.

A copy is carried out when it is waited for, not when it is started: a kernel that forgets to wait reads what was
there before, which is NaN unless somebody wrote it. A copy that nobody waits for never happens.
"""

import re
from collections import deque
from typing import Any

import numpy as np
from jaxlib.mlir import ir
from mosaic_types import (  # type: ignore[import-not-found]
    OutOfBounds,
    Stuck,
    Unreplayable,
    dtype_named,
    poison,
)


class Semaphore:
    """A counter; one for copies also holds the copies under way, oldest first."""

    __slots__ = ("bytes_arrived", "copies", "count")

    def __init__(self) -> None:
        self.count = 0
        self.bytes_arrived = 0
        self.copies: deque[tuple[Any, Any]] = deque()

    def wait_for_copy(self, size: int) -> None:
        """Let copies arrive until `size` bytes are there, and take them.

        Raises:
            Stuck: no copy is under way that could still arrive.
        """
        while self.bytes_arrived < size:
            if not self.copies:
                raise Stuck(f"waits for {size} bytes, {self.bytes_arrived} can arrive")
            source, target = self.copies.popleft()
            target[...] = source
            self.bytes_arrived += source.nbytes
        self.bytes_arrived -= size

    def wait_for_signal(self, amount: int) -> None:
        if self.count < amount:
            raise Stuck(f"waits for {amount} signals, {self.count} were given")
        self.count -= amount


def allocate(type_: Any) -> Any:
    """A fresh buffer for a memref type: poisoned, or semaphores at zero."""
    shape, element = memref_parts(type_)
    if "semaphore" in element:
        made = np.empty(shape, object)
        for index in np.ndindex(shape):
            made[index] = Semaphore()
        return made
    return poison(shape, dtype_named(element))


def memref_parts(type_: Any) -> tuple[tuple[int, ...], str]:
    """Shape and element type's name of a memref type."""
    memref = ir.MemRefType(type_)
    if not memref.has_static_shape:
        raise Unreplayable(f"dynamic shape {type_}")
    return tuple(memref.shape), str(memref.element_type)


def is_semaphore(type_: Any) -> bool:
    return "semaphore" in memref_parts(type_)[1]


def memory_space(type_: Any) -> str:
    """`vmem`, `smem`, `hbm`, `any`, `semaphore_mem`..."""
    match = re.search(r"memory_space<(\w+)>", str(type_))
    return match.group(1) if match else "any"


def region(buffer: Any, starts: list[int], sizes: tuple[int, ...], strides: list[int]) -> tuple[slice, ...]:
    """Slices of a buffer, after checking that they lie inside it.

    Raises:
        OutOfBounds: they do not.
    """
    made = []
    for start, size, stride, extent in zip(starts, sizes, strides, buffer.shape, strict=True):
        last = start + (size - 1) * stride
        if start < 0 or last >= extent:
            raise OutOfBounds(f"elements {start} to {last} of a dimension of {extent}")
        made.append(slice(start, last + 1, stride))
    return tuple(made)
