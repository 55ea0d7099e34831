"""Along which dimensions of a grid do steps have nothing to do with each other, whatever they are called?

A dimension that its author calls `parallel` says so. Most kernels call theirs nothing, and would have to be run in
full at every large shape. Here it is read off the program: the blocks that steps write are theirs alone, and nothing
but scratch could carry anything from one to the next. Whether scratch does shows when they are run apart, with NaN in
it: whoever reads what another step left there answers NaN, and is run in full after all.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from mosaic_courses import MOST_STEPS, blocks_of  # type: ignore[import-not-found]
from mosaic_memory import is_semaphore, memory_space, memref_parts  # type: ignore[import-not-found]
from mosaic_module import Kernel  # type: ignore[import-not-found]
from mosaic_types import MISTAKES, dtype_named  # type: ignore[import-not-found]

_LOADS = {"vector.load", "tpu.vector_load", "tpu.strided_load", "memref.load"}
_STORES = {"vector.store", "tpu.vector_store", "tpu.strided_store", "memref.store"}
_VIEWS = {
    "memref.cast",
    "tpu.assume_layout",
    "tpu.erase_memref_layout",
    "tpu.memref_bitcast",
    "tpu.memref_reshape",
    "tpu.memref_slice",
    "tpu.memref_squeeze",
    "tpu.reinterpret_cast",
}


def declared(kernel: Kernel) -> tuple[bool, ...]:
    """For each dimension of the grid, whether its author calls it parallel."""
    return tuple("parallel" in meaning for meaning in kernel.semantics)


def may_be_steered(kernel: Kernel) -> bool:
    """Whether words that one step stores may decide what another one does: scalar memory that is not only read.

    Such a step shows what it does on the chip only after all the steps before it, whatever its dimension is called.
    """
    arguments = list(kernel.function.regions[0].blocks[0].arguments)[len(kernel.grid) :]
    words = [each for each in arguments if not is_semaphore(each.type) and memory_space(each.type) == "smem"]
    return not all(map(_is_read, words))


def apart(kernel: Kernel, inputs: int, bounds: Sequence[int], scalars: Sequence[Any]) -> tuple[bool, ...]:
    """For each dimension of the grid, whether steps that differ in it may be run without each other.

    Args:
        inputs: how many of the windows are operands.
        bounds: the grid's extents, where operands give them too.
        scalars: prefetched, which windows may follow.
    """
    named = declared(kernel)
    if may_be_steered(kernel):
        return (False,) * len(bounds)
    if all(named) or not 0 < math.prod(bounds) <= MOST_STEPS:
        return named
    if not all(map(_shows_nan, kernel.scratch_types)) or not _only_reads(
        kernel, len(bounds), len(scalars) + inputs
    ):
        return named
    alone = np.ones(len(bounds), np.bool_)
    for window in kernel.windows[inputs:]:
        try:
            blocks = blocks_of(kernel, window, bounds, scalars)
        except MISTAKES:
            return named
        if blocks is None:
            return named
        alone &= _own(blocks, bounds)
    return tuple(bool(says or found) for says, found in zip(named, alone, strict=True))


def _shows_nan(scratch: Any) -> bool:
    """Whether memory of this type can hold NaN; a semaphore is how copies of several steps know each other."""
    return not is_semaphore(scratch) and np.dtype(dtype_named(memref_parts(scratch)[1])).kind not in "biu"


def _only_reads(kernel: Kernel, first: int, count: int) -> bool:
    """Whether scalars and operands are read and no more, so that none of them can carry anything."""
    arguments = list(kernel.function.regions[0].blocks[0].arguments)[first : first + count]
    return all(map(_is_read, arguments))


def reads_unwritten(kernel: Kernel, inputs: int) -> bool:
    """Whether anything may be read that nobody has written: scratch, or one of the windows after the operands'."""
    before = len(kernel.grid) + kernel.prefetched
    arguments = list(kernel.function.regions[0].blocks[0].arguments)
    outputs = arguments[before + inputs : before + len(kernel.window_types)]
    return bool(kernel.scratch_types) or not all(map(_is_written, outputs))


def same_numbers(one: Any, other: Any) -> bool:
    """Whether the numbers of one array stand in the other as well; where it has none, nobody has written."""
    written = ~np.isnan(one)
    return bool(np.array_equal(one[written], other[written]))


def _is_written(value: Any) -> bool:
    """Whether memory is stored to and no more; what a store gives back is looked at by nobody."""
    for use in value.uses:
        operation = use.owner.operation
        unused = not any(True for result in operation.results for _ in result.uses)
        if operation.name in _VIEWS:
            if not all(map(_is_written, operation.results)):
                return False
        elif operation.name not in (_LOADS if unused else _STORES):
            return False
    return True


def _is_read(value: Any) -> bool:
    for use in value.uses:
        operation = use.owner.operation
        if operation.name in _VIEWS:
            if not all(map(_is_read, operation.results)):
                return False
        elif operation.name not in _LOADS:
            return False
    return True


def _own(blocks: Any, bounds: Sequence[int]) -> Any:
    """For each dimension, whether every block is written at one place along it only; `blocks`: [steps, rank]."""
    _, names = np.unique(blocks, axis=0, return_inverse=True)
    names = names.ravel()
    order = np.argsort(names, kind="stable")
    starts = np.flatnonzero(np.diff(names[order], prepend=-1))
    along = [each.ravel()[order] for each in np.indices(tuple(bounds))]
    return np.array(
        [np.array_equal(np.minimum.reduceat(at, starts), np.maximum.reduceat(at, starts)) for at in along]
    )
