"""How much a kernel does in each step of its parallel dimensions, worked out from scalars alone.

A sample of a large grid has to find out where work was left out. What a step costs is decided by which blocks of the
program it runs, how often its loops turn and which windows it fetches, and all of these follow from the grid's
indices and from prefetched scalars; so they are known for every step without computing any. Steps that do less than
the ones beside them are where a sample looks first.

What depends on memory or on floats is unknown here; no price is given for a program that it steers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxlib.mlir import ir
from mosaic_module import Kernel  # type: ignore[import-not-found]

MOST_STEPS = 1 << 19
_MOST_VISITS = 100_000  # of operations; loops that are longer are counted, not followed
Lanes = Any  # a whole number for every step of the grid, or one for all


def _divide(a: Lanes, b: Lanes) -> Lanes:
    """Towards zero, as the chip does; by zero gives zero."""
    safe = np.where(np.asarray(b) == 0, 1, b)
    return np.where(np.asarray(b) == 0, 0, np.sign(a) * np.sign(safe) * (np.abs(a) // np.abs(safe)))


_COMPARE: list[Callable[[Lanes, Lanes], Lanes]] = [np.equal, np.not_equal, np.less, np.less_equal]
_COMPARE += [np.greater, np.greater_equal]
_COMPARE += _COMPARE[2:]  # unsigned, of numbers that are not negative
_BINARY: dict[str, Callable[[Lanes, Lanes], Lanes]] = {
    "arith.addi": np.add,
    "arith.subi": np.subtract,
    "arith.muli": np.multiply,
    "arith.divsi": _divide,
    "arith.divui": _divide,
    "arith.remsi": lambda a, b: a - b * _divide(a, b),
    "arith.remui": lambda a, b: a - b * _divide(a, b),
    "arith.floordivsi": lambda a, b: np.floor_divide(a, np.where(np.asarray(b) == 0, 1, b)),
    "arith.ceildivsi": lambda a, b: -np.floor_divide(-a, np.where(np.asarray(b) == 0, 1, b)),
    "arith.minsi": np.minimum,
    "arith.maxsi": np.maximum,
    "arith.minui": np.minimum,
    "arith.maxui": np.maximum,
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "arith.shli": lambda a, b: np.left_shift(a, np.minimum(b, 31)),
    "arith.shrsi": lambda a, b: np.right_shift(a, np.minimum(b, 31)),
    "arith.shrui": lambda a, b: np.right_shift(a, np.minimum(b, 31)),
}
_SAME = {
    "arith.index_cast",
    "arith.index_castui",
    "arith.extsi",
    "arith.extui",
    "arith.trunci",
    "tpu.assume_multiple",
}


def deficits(work: Any, extents: Sequence[int]) -> Any:
    """How much less each step does than a line through its neighbours says, in its largest shortfall of any kind.

    0 where it does not.

    Args:
        work: [steps, kinds of work] for the steps of the parallel dimensions in row-major order.
        extents: of these dimensions.
    """
    grid = work.astype(np.float64).reshape(*extents, work.shape[1])
    short = np.zeros(grid.shape)
    for axis, extent in enumerate(extents):
        if extent > 1:
            moved, least = np.moveaxis(grid, axis, 0), np.moveaxis(short, axis, 0)  # a view: it is written through
            second, third = (
                (1, 2) if extent > 2 else (1, 1)
            )  # of a triangle the first row does less than all others
            least[0] = np.maximum(least[0], 2 * moved[second] - moved[third] - moved[0])
            least[-1] = np.maximum(least[-1], 2 * moved[-1 - second] - moved[-1 - third] - moved[-1])
            least[1:-1] = np.maximum(least[1:-1], (moved[:-2] + moved[2:]) / 2 - moved[1:-1])
    return short.reshape(work.shape).max(axis=1, initial=0.0)


def work_of(kernel: Kernel, bounds: Sequence[int], scalars: Sequence[Any], parallel: Sequence[bool]) -> Any:
    """What each step of the parallel dimensions does, [steps, kinds]: runs of each block by weight, windows fetched.

    None for a grid that is too large to be followed.
    """
    steps = math.prod(bounds)
    if not 0 < steps <= MOST_STEPS:
        return None
    index = [each.ravel() for each in np.indices(tuple(bounds), dtype=np.int64)]
    walk = _Walk(steps)
    arguments = list(kernel.function.regions[0].blocks[0].arguments)
    memory = dict(zip(arguments[len(index) :], scalars, strict=False))
    walk.run(kernel.function.regions[0].blocks[0], dict(zip(arguments, index, strict=False)), memory, True)
    kinds = [*walk.runs.values(), *(_fetches(kernel, window, index, scalars) for window in kernel.windows)]
    cell = np.zeros(steps, np.int64)
    for number, extent, is_parallel in zip(index, bounds, parallel, strict=True):
        cell = cell * extent + number if is_parallel else cell
    return np.stack([np.bincount(cell, kind) for kind in kinds], axis=1)


def _fetches(kernel: Kernel, window: Any, index: Sequence[Lanes], scalars: Sequence[Any]) -> Any:
    """Elements that each step fetches for a window: none while its block stays the same, or if it always does."""
    steps = len(index[0]) if index else 1
    moved = np.zeros(steps, np.bool_)
    for place in _places(kernel, window, index, scalars):
        if place is not None:
            each = np.broadcast_to(place, steps)
            moved[1:] |= each[1:] != each[:-1]
    moved[0] = moved.any()
    return moved * float(math.prod(window.bounds or ()))


def blocks_of(kernel: Kernel, window: Any, bounds: Sequence[int], scalars: Sequence[Any]) -> Any:
    """Which block of a window each step sees, [steps, rank]; None where scalars alone do not say it."""
    index = [each.ravel() for each in np.indices(tuple(bounds), dtype=np.int64)]
    places = _places(kernel, window, index, scalars)
    if any(place is None for place in places):
        return None
    steps = math.prod(bounds)
    return np.stack([np.broadcast_to(place, steps) for place in places] or [np.zeros(steps, np.int64)], axis=1)


def _places(kernel: Kernel, window: Any, index: Sequence[Lanes], scalars: Sequence[Any]) -> list[Lanes]:
    """A window's block index for all steps at once, None for what is not known; none where it never moves."""
    if not window.transform:
        return []
    block = kernel.transform_function(window.transform).regions[0].blocks[0]
    arguments = list(block.arguments)
    memory = dict(zip(arguments[len(index) :], scalars, strict=False))
    walk = _Walk(len(index[0]) if index else 1)
    return walk.run(block, dict(zip(arguments, index, strict=False)), memory, True)


@dataclass
class _Walk:
    """Follows scalars through a function for all steps at once.

    `runs`: for each block and step, the block's weight times how often it ran.
    """

    steps: int
    runs: dict[Any, Any] = field(default_factory=dict)
    visits: int = 0

    def run(self, block: Any, known: dict[Any, Lanes], memory: dict[Any, Any], where: Lanes) -> list[Lanes]:
        """Values of the block's terminator, None for what is not known; `where`: the steps that get here."""
        views = [view.operation for view in block]
        self._count(block, views, where)
        for operation in views:
            self.visits += 1
            if operation.name in ("scf.yield", "tpu.yield", "func.return", "scf.condition"):
                return [known.get(operand) for operand in operation.operands]
            made = self._operation(operation, known, memory, where)
            known.update((result, value) for result, value in zip(operation.results, made, strict=False))
        return []

    def _count(self, block: Any, views: Sequence[Any], times: Lanes) -> None:
        weight = 1.0 + sum(_weight(operation) for operation in views)
        self.runs[block] = self.runs.get(block, np.zeros(self.steps)) + weight * np.asarray(times, np.float64)

    def _operation(
        self, operation: Any, known: dict[Any, Lanes], memory: dict[Any, Any], where: Lanes
    ) -> Sequence[Lanes]:
        name = operation.name
        if name == "arith.constant":
            return [_constant(operation)]
        if len(operation.regions):
            return self._regions(operation, known, memory, where)
        given: list[Any] = [known.get(operand) for operand in operation.operands]
        if name == "memref.load":
            return [_loaded(memory.get(operation.operands[0]), given[1:])]
        if not given or any(value is None for value in given):
            return []
        if name in _BINARY:
            return [_BINARY[name](*given)]
        if name in _SAME:
            return [np.asarray(given[0]).astype(np.int64)]
        if name == "arith.cmpi":
            return [_COMPARE[int(ir.IntegerAttr(operation.attributes["predicate"]).value)](*given)]
        return [np.where(given[0], given[1], given[2])] if name == "arith.select" else []

    def _regions(
        self, operation: Any, known: dict[Any, Lanes], memory: dict[Any, Any], where: Lanes
    ) -> Sequence[Lanes]:
        blocks = [region.blocks[0] for region in operation.regions if len(region.blocks)]
        decides = known.get(operation.operands[0]) if len(operation.operands) else None
        if operation.name == "scf.if" and decides is not None:
            holds = np.asarray(decides, np.bool_)
            sides = [holds, ~holds]
            made = [
                self.run(block, known, memory, where & side) for block, side in zip(blocks, sides, strict=False)
            ]
            return (
                [None if a is None or b is None else np.where(holds, a, b) for a, b in zip(*made, strict=False)]
                if len(made) == 2
                else []
            )
        if operation.name == "scf.for":
            self._loop(operation, known, memory, where)
            return []
        for block in blocks:  # a region that always runs; or one of which nobody can tell
            self.run(block, known, memory, where)
        return []

    def _loop(self, operation: Any, known: dict[Any, Lanes], memory: dict[Any, Any], where: Lanes) -> None:
        """Turn by turn where the body has regions of its own; else only how often."""
        block = operation.regions[0].blocks[0]
        low, high, step = (known.get(operand) for operand in list(operation.operands)[:3])
        if low is None or high is None or step is None:
            self.run(block, known, memory, where)
            return
        turns = np.maximum(0, -np.floor_divide(np.asarray(low) - high, step)) * where
        views = [view.operation for view in block]
        longest = int(np.max(turns, initial=0))
        if not any(len(view.regions) for view in views) or self.visits + longest * len(views) > _MOST_VISITS:
            self._count(block, views, turns)
            return
        for turn in range(longest):
            self.run(block, {**known, block.arguments[0]: low + turn * step}, memory, turns > turn)


def _weight(operation: Any) -> float:
    """About how many elements an operation makes or multiplies."""
    types = [value.type for value in (*operation.operands, *operation.results)]
    vectors = [math.prod(ir.VectorType(type_).shape) for type_ in types if isinstance(type_, ir.VectorType)]
    return float(max(vectors, default=0)) * (16.0 if operation.name == "tpu.matmul" else 1.0)


def _constant(operation: Any) -> Lanes:
    value = operation.attributes["value"]
    if isinstance(value, ir.BoolAttr):
        return bool(value.value)
    return int(value.value) if isinstance(value, ir.IntegerAttr) else None


def _loaded(buffer: Any, places: Sequence[Lanes]) -> Lanes:
    """Elements of a prefetched array; steps that do not get here may have places outside of it."""
    if buffer is None or any(place is None for place in places):
        return None
    inside = [np.clip(place, 0, size - 1) for place, size in zip(places, buffer.shape, strict=True)]
    return np.asarray(buffer[tuple(inside)]).astype(np.int64)
