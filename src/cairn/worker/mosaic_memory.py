"""Buffers, semaphores and copies of a replayed kernel.

A copy is carried out when it is waited for, not when it is started. From its start on, what lies at its target is
undefined, so a kernel that reads it before it waits reads NaN; and so are elements whose source changes in the
meantime, of which nobody can say whether they travelled before or after. A copy that nobody waits for never happens.
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
        self.copies: deque[tuple[Any, Any, Any]] = deque()

    def begin_copy(self, source: Any, target: Any) -> None:
        """Remember what is there; nobody may look at the target, or change the source, until it has arrived."""
        before = None
        if not np.may_share_memory(source, target):
            before = source.copy()
            target[...] = poison(target.shape, target.dtype)
        self.copies.append((source, target, before))

    def wait_for_copy(self, size: int) -> None:
        """Let copies arrive until `size` bytes are there, and take them.

        Raises:
            Stuck: no copy is under way that could still arrive.
        """
        while self.bytes_arrived < size:
            if not self.copies:
                raise Stuck(f"waits for {size} bytes, {self.bytes_arrived} can arrive")
            source, target, before = self.copies.popleft()
            target[...] = source
            if before is not None:
                _forget_what_changed(source, target, before)
            self.bytes_arrived += source.nbytes
        self.bytes_arrived -= size

    def wait_for_signal(self, amount: int) -> None:
        if self.count < amount:
            raise Stuck(f"waits for {amount} signals, {self.count} were given")
        self.count -= amount


def _forget_what_changed(source: Any, target: Any, before: Any) -> None:
    """Poison what was written while it was under way."""
    bits = np.dtype(f"u{source.dtype.itemsize}")
    changed = source.view(bits) != before.view(bits)
    if changed.any():
        target[changed] = poison(target.shape, target.dtype)[changed]


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


class Packed:
    """A buffer seen with elements of another width: rows of the narrow side are packed into those of the wide one.

    Row r of the wide side holds rows r f to r f + f - 1 of the narrow one, lowest bits first, as in the chip's tiles.
    NumPy has no such view, so that reading and writing convert.
    """

    def __init__(self, base: Any, dtype: Any) -> None:
        self._base = base
        self.dtype = np.dtype(dtype)
        *outer, rows, lanes = base.shape
        self.shape = (*outer, rows * base.dtype.itemsize // self.dtype.itemsize, lanes)

    def _outside(self, where: tuple[slice, ...]) -> tuple[tuple[slice, ...], slice]:
        """Slices of the base that hold the wanted rows, and those rows among what they hold."""
        *outer, rows, lanes = where
        wide, narrow = self._base.dtype.itemsize, self.dtype.itemsize
        if narrow > wide:  # one of our rows is several of the base's
            factor = narrow // wide
            held = slice(rows.start * factor, rows.stop * factor)
            return (*outer, held, lanes), slice(0, rows.stop - rows.start, rows.step)
        factor = wide // narrow
        first = rows.start // factor
        held = slice(first, -(-rows.stop // factor))
        return (*outer, held, lanes), slice(rows.start - first * factor, rows.stop - first * factor, rows.step)

    def __getitem__(self, where: tuple[slice, ...]) -> Any:
        """A fresh array of the wanted elements; only the rows that hold them are converted."""
        *outer, rows, lanes = where
        wide, narrow = self._base.dtype.itemsize, self.dtype.itemsize
        if narrow > wide:
            groups = self._base[(*outer, slice(None), lanes)]
            groups = groups.reshape(*groups.shape[:-2], self.shape[-2], narrow // wide, groups.shape[-1])
            return _widened(groups[..., rows, :, :], self.dtype)
        factor = wide // narrow
        if rows.step % factor == 0:  # every wanted row is the same part of a row of the base
            first, step = rows.start // factor, rows.step // factor
            count = len(range(rows.start, rows.stop, rows.step))
            held = self._base[(*outer, slice(first, first + (count - 1) * step + 1, step), lanes)]
            return _parts(held, self.dtype)[..., rows.start % factor].copy()
        outside, inside = self._outside(where)
        return repacked(self._base[outside], self.dtype)[..., inside, :]

    def __setitem__(self, where: tuple[slice, ...], value: Any) -> None:
        outside, inside = self._outside(where)
        whole = repacked(self._base[outside], self.dtype)
        whole[..., inside, :] = value
        self._base[outside] = repacked(whole, self._base.dtype)


def repacked(x: Any, dtype: Any) -> Any:
    """A fresh array with the same bits in elements of another width, packed along the second-minor dimension."""
    *outer, rows, lanes = x.shape
    if x.dtype.itemsize > dtype.itemsize:
        factor = x.dtype.itemsize // dtype.itemsize
        return np.moveaxis(_parts(x, dtype), -1, -2).reshape(*outer, rows * factor, lanes)
    factor = dtype.itemsize // x.dtype.itemsize
    return _widened(x.reshape(*outer, rows // factor, factor, lanes), dtype)


def _parts(x: Any, dtype: Any) -> Any:
    """[..., rows, lanes] of wide elements as [..., rows, lanes, parts] of narrow ones, low bits first."""
    return np.ascontiguousarray(x)[..., None].view(dtype)


def _widened(x: Any, dtype: Any) -> Any:
    """[..., rows, parts, lanes] of narrow elements as [..., rows, lanes] of wide ones, low bits first."""
    return np.ascontiguousarray(np.moveaxis(x, -2, -1)).view(dtype)[..., 0]


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
