"""Runs a decoded kernel over its grid in NumPy, with the memory model of the pipeline that the compiler emits.

The grid runs in row-major order. An input's window is fetched when its block index changes; an output's window is
written back when its block index changes and at the end, and never read from the array, so a visit that does not
fill its block leaves NaN. Scratch keeps its content from step to step, in half of all runs not across a step of a
dimension called `parallel`: the chip may give each of those to another core. Nothing starts out as zero.
"""

import itertools
import math
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mosaic_apart  # type: ignore[import-not-found]
import numpy as np
from mosaic_build import Builder, Node, Tables  # type: ignore[import-not-found]
from mosaic_courses import deficits, work_of  # type: ignore[import-not-found]
from mosaic_memory import allocate, is_semaphore, memref_parts  # type: ignore[import-not-found]
from mosaic_module import DYNAMIC, Kernel, Window  # type: ignore[import-not-found]
from mosaic_tables import EFFECTS, PURE, READS  # type: ignore[import-not-found]
from mosaic_types import (  # type: ignore[import-not-found]
    GARBAGE,
    MISTAKES,
    NUMBERLESS,
    NotLocal,
    OutOfBounds,
    Unreplayable,
    begin_run,
    dtype_named,
    is_scratch_left,
    poison,
)

Index = tuple[int, ...]
_UNDER_WAY = 2  # steps after which a block that was left has arrived for sure
_SUSPECTS = 2  # kinds of steps that do less than their neighbours: the shortest, and as many others


@dataclass(frozen=True)
class Sampling:
    """Run only some steps of the parallel dimensions: the last, some that do less than those beside them, others.

    So too of dimensions along which steps can be run apart (`mosaic_apart.py`). The seed chooses. The other dimensions
    run in full. `dry` runs no kernel at all: random numbers where a chosen step would write, NaN elsewhere. It tells
    what is covered.
    """

    cells: int
    seed: int
    dry: bool = False


class KernelProgram:
    """A kernel built once, callable on arrays; one call at a time."""

    def __init__(self, kernel: Kernel, inputs: int, aliases: dict[int, int]) -> None:
        """`inputs`: operands that have a window; `aliases`: from an output to the operand whose memory it takes."""
        self.kernel = kernel
        self._inputs = inputs
        self._aliases = aliases
        self._lock = threading.Lock()
        self.sampling: Sampling | None = None
        self.known: Sequence[Any] | None = None  # for every operand, which elements a step may see
        self.calls = 0
        self.doubtful = False  # whether a sample ran steps apart that may have needed each other
        self.dry_share = 1.0  # of the results that the last dry run wrote
        self._bounds: Index = ()
        reads = {**READS, "tpu.iteration_bound": self._make_bound}
        self._builder = Builder(Tables(PURE, reads, EFFECTS))
        with np.errstate(all="ignore"):
            self._body = self._builder.function(kernel.function)
            self._transforms = [self._transform(window) for window in kernel.windows]
        self._is_steered = mosaic_apart.may_be_steered(kernel)
        self._apart: tuple[bool, ...] = mosaic_apart.declared(kernel)

    def _transform(self, window: Window) -> Any:
        if not window.transform:
            return None
        return self._builder.function(self.kernel.transform_function(window.transform))

    def _make_bound(self, node: Node) -> Callable[..., Any]:
        dimension = node.number("dim")
        return lambda: np.int32(self._bounds[dimension])

    def __call__(self, *operands: Any) -> tuple[Any, ...]:
        """Run on arrays of the operands' exact types; give the results."""
        with self._lock, np.errstate(all="ignore"):
            self.calls += 1
            return self._run(operands)

    def _run(self, operands: Sequence[Any]) -> tuple[Any, ...]:
        kernel = self.kernel
        bounds = iter(operands[: kernel.dynamic_bounds])
        self._bounds = tuple(int(next(bounds)) if extent == DYNAMIC else extent for extent in kernel.grid)
        rest = operands[kernel.dynamic_bounds :]
        scalars = [
            _as_memory(array, type_)
            for array, type_ in zip(rest[: kernel.prefetched], kernel.prefetch_types, strict=True)
        ]
        steps = self._steps(scalars)
        if self.sampling is not None and self.sampling.dry:
            return self._run_dry(scalars, self._opened(rest), self.sampling)
        if self.sampling is None:
            return self._carry_out(rest, scalars, steps)
        if self._apart == mosaic_apart.declared(kernel):
            # NaN can be masked away, and a sample is looked at once
            begin_run(NUMBERLESS if self._is_steered else random.choice(GARBAGE))
            return self._carry_out(rest, scalars, steps)
        return self._carry_out_apart(rest, scalars, list(steps))

    def _carry_out_apart(
        self, rest: Sequence[Any], scalars: Sequence[Any], steps: Sequence[Index]
    ) -> tuple[Any, ...]:
        """Steps without what others left, though nobody called them parallel; `doubtful` if what they find matters."""
        begin_run(NUMBERLESS)
        results = self._carry_out(rest, scalars, steps, is_watched=True)
        if not self.doubtful and mosaic_apart.reads_unwritten(self.kernel, self._inputs):
            begin_run(GARBAGE[0])
            again = self._carry_out(rest, scalars, steps)
            self.doubtful = not all(map(mosaic_apart.same_numbers, results, again))
        return results

    def _carry_out(
        self, rest: Sequence[Any], scalars: Sequence[Any], steps: Iterable[Index], *, is_watched: bool = False
    ) -> tuple[Any, ...]:
        """These steps in order, on fresh memory; `is_watched`: NaN that they leave in an output is `doubtful`."""
        windows, types = self._opened(rest), self.kernel.scratch_types
        scratch = [allocate(type_) for type_ in types]
        for window in windows:
            window.is_watched = is_watched
        is_left = self._is_steered != is_scratch_left()
        before: Index | None = None
        for number, step in enumerate(steps):
            moved = before is not None and self._cell(before) != self._cell(step)
            if moved and not is_left:
                _poison_again(scratch, types)
            index = [np.int32(place) for place in step]
            for window in windows:
                window.now = number
            buffers = [window.at(index, scalars, moved) for window in windows]
            self._body.run(*index, *scalars, *buffers, *scratch)
            before = step
        for window in windows:
            window.flush()
        outputs = windows[self._inputs :]
        self.doubtful = any(window.has_holes for window in outputs)
        return tuple(window.array for window in outputs)

    def _opened(self, rest: Sequence[Any]) -> list["_Open"]:
        """Windows on the operands after the bounds; those that may see a part only are guarded.

        Whatever stands in memory in this run, what no step of a sample writes is NaN.
        """
        windows = self._open(rest[self.kernel.prefetched :])
        for window in windows[self._inputs :] if self.sampling is not None else ():
            window.array[...] = np.nan
        if self.known is not None:
            self._guard(windows, self.known)
        return windows

    def _guard(self, windows: Sequence["_Open"], known: Sequence[Any]) -> None:
        """Have every block looked at when it is fetched; a whole array, which is not fetched, now."""
        for window, described, mask in zip(windows, self.kernel.windows, known, strict=False):
            if described.bounds is None and not mask.all():
                raise NotLocal("the kernel is given a whole array")
            window.known = mask

    def covered(self, sampling: Sampling) -> list[Any]:
        """For each result the elements that the chosen steps write; no scalar may steer the kernel."""
        self.sampling = sampling
        self._bounds = self.kernel.grid
        masks = [np.zeros(shape, np.bool_) for shape in self.output_shapes]
        outputs = [
            _Open(window, transform, mask, is_output=True)
            for window, transform, mask in zip(
                self.kernel.windows[self._inputs :], self._transforms[self._inputs :], masks, strict=True
            )
        ]
        try:
            for step in self._steps([]):
                index = [np.int32(number) for number in step]
                for window in outputs:
                    window.at(index, [], False)[...] = True
            for window in outputs:
                window.flush()
        finally:
            self.sampling = None
        return masks

    def _run_dry(self, scalars: Sequence[Any], windows: list["_Open"], sampling: Sampling) -> tuple[Any, ...]:
        """Numbers between one and two, of which roots, logarithms and quotients are numbers as well."""
        outputs, draw = windows[self._inputs :], np.random.default_rng(sampling.seed)
        for step in self._steps(scalars):
            index = [np.int32(number) for number in step]
            for window in outputs:
                block = window.at(index, scalars, False)
                block[...] = draw.uniform(1.0, 2.0, block.shape)
        for window in outputs:
            window.flush()
        self.dry_share = min((share_of_numbers(window.array) for window in outputs), default=1.0)
        return tuple(window.array for window in outputs)

    @property
    def sampleable(self) -> bool:
        """Only results that can hold NaN tell what is not covered, and only if they start out as NaN."""
        results = self.kernel.window_types[self._inputs :]
        floats = all(np.dtype(dtype_named(memref_parts(type_)[1])).kind not in "biu" for type_ in results)
        windowed = all(window.bounds is not None for window in self.kernel.windows[self._inputs :])
        return floats and windowed and not self._aliases

    def _steps(self, scalars: Sequence[Any]) -> Iterator[Index]:
        """The grid's steps, or those of the sample; decides along which dimensions they are run apart."""
        every = itertools.product(*map(range, self._bounds))
        self._apart = mosaic_apart.declared(self.kernel)
        if self.sampling is None:
            return every
        self._apart = mosaic_apart.apart(self.kernel, self._inputs, self._bounds, scalars)
        extents = self._cell(self._bounds)
        total = math.prod(extents)
        if self.sampling.cells >= total:
            self._apart = mosaic_apart.declared(self.kernel)
            return every
        dice = random.Random(self.sampling.seed)
        drawn = {total - 1, *dice.sample(range(total - 1), self.sampling.cells - 1)}
        drawn |= set(self._suspects(scalars, extents, dice))
        chosen = {tuple(int(n) for n in np.unravel_index(cell, extents)) for cell in drawn}
        return (step for step in every if self._cell(step) in chosen)

    def _suspects(self, scalars: Sequence[Any], extents: Index, dice: random.Random) -> list[int]:
        """Some steps that do less than the ones beside them, each with a pattern of work of its own."""
        try:
            work = work_of(self.kernel, self._bounds, scalars, self._apart)
        except MISTAKES:  # chance alone decides where what steps do cannot be followed
            return []
        if work is None:
            return []
        short = deficits(work, extents)
        alike: dict[bytes, list[int]] = {}
        for cell in np.flatnonzero(short > 0):
            alike.setdefault(work[cell].tobytes(), []).append(int(cell))
        groups = sorted(alike.values(), key=lambda cells: -short[cells].max())
        groups = [*groups[:_SUSPECTS], *dice.sample(groups[_SUSPECTS:], min(_SUSPECTS, len(groups[_SUSPECTS:])))]
        return [dice.choice(cells) for cells in groups]

    def _cell(self, step: Index) -> Index:
        return tuple(n for n, is_apart in zip(step, self._apart, strict=True) if is_apart)

    def _open(self, inputs: Sequence[Any]) -> list["_Open"]:
        """Windows on copies of the inputs and on fresh outputs, or on the input that an output takes over."""
        kernel = self.kernel
        skipped = kernel.dynamic_bounds + kernel.prefetched
        written = {operand - skipped for operand in self._aliases.values()}
        arrays = [
            _as_memory(array, type_, private=position in written or kernel.windows[position].bounds is None)
            for position, (array, type_) in enumerate(zip(inputs, kernel.window_types, strict=False))
        ]
        if len(arrays) != self._inputs:
            raise Unreplayable(f"{len(arrays)} operands for {self._inputs} windows")
        if any(position < 0 for position in written):
            raise Unreplayable("a result in the memory of a scalar")
        read = [
            _Open(window, transform, arrays[position], is_output=False)
            for position, (window, transform) in enumerate(
                zip(kernel.windows[: self._inputs], self._transforms, strict=False)
            )
        ]
        written_to = [
            _Open(
                kernel.windows[self._inputs + position],
                self._transforms[self._inputs + position],
                arrays[self._aliases[position] - skipped]
                if position in self._aliases
                else self._result(shape, kernel.window_types[self._inputs + position]),
                is_output=True,
            )
            for position, shape in enumerate(self.output_shapes)
        ]
        for position, operand in self._aliases.items():
            read[operand - skipped].beside = written_to[position]
        return read + written_to

    def _result(self, shape: Index, type_: Any) -> Any:
        """Memory for a result; where only blocks are asked for, what no step writes is never touched."""
        dtype = dtype_named(memref_parts(type_)[1])
        return poison(shape, dtype) if self.known is None else np.zeros(shape, dtype)

    output_shapes: Sequence[Index] = ()  # of the whole results; set by who knows the call


def share_of_numbers(array: Any) -> float:
    """Which share of an array is no NaN."""
    return 1.0 - int(np.count_nonzero(np.isnan(array))) / max(int(array.size), 1)


def _as_memory(array: Any, type_: Any, *, private: bool = True) -> Any:
    """An array in the element type that the kernel sees: booleans widen, signs are only a reading.

    `private`: somebody may write to it, so it must be a copy; a window only ever gives copies of its blocks.
    """
    dtype = dtype_named(memref_parts(type_)[1])
    if array.dtype == dtype:
        return np.array(array) if private else array
    if array.dtype == np.bool_ or dtype == np.bool_:
        return array.astype(dtype)
    if array.dtype.itemsize != dtype.itemsize:
        raise Unreplayable(f"an operand of {array.dtype} where the kernel has {dtype}")
    return np.array(array).view(dtype)


def _poison_again(scratch: list[Any], types: Sequence[Any]) -> None:
    for buffer, type_ in zip(scratch, types, strict=True):
        if not is_semaphore(type_):
            buffer[...] = allocate(type_)


class _Open:
    """One window during a run: the whole array and the block that the kernel sees now."""

    def __init__(self, window: Window, transform: Any, array: Any, *, is_output: bool) -> None:
        self.array = array
        self._window = window
        self._transform = transform
        self._is_output = is_output
        self.known: Any = None
        self.beside: _Open | None = None  # an output in the same memory
        self.is_watched = self.has_holes = False  # whether a block of an output was left with NaN in it
        self.now = 0  # the step's number
        self._held: list[tuple[int, tuple[slice, ...]]] = []  # places of the last blocks, and when they were left
        self._index: Index | None = None
        self._block: Any = None

    def at(self, step: Sequence[Any], scalars: Sequence[Any], moved: bool) -> Any:
        """The block for a grid step; `moved`: another core may be at work, so nothing of an output is left."""
        if self._window.bounds is None:
            return self.array
        index: Index = (0,) * len(self._window.bounds)
        if self._transform is not None:
            index = tuple(int(number) for number in self._transform.run(*step, *scalars))
        if index != self._index or (moved and self._is_output):
            self.flush()
            self._index = index
            self._block = poison(self._window.bounds, self.array.dtype)
            if not self._is_output:
                inside, outside = self._places()
                self._block[inside] = self.array[outside]
                if self.beside is not None:
                    self._forget(self.beside, inside, outside)
                if self.known is not None and not self.known[outside].all():
                    raise NotLocal("a step looks beyond the part that was drawn")
        return self._block

    def flush(self) -> None:
        """Write an output's block back; the part beyond the array's end is dropped."""
        if self._is_output and self._block is not None:
            inside, outside = self._places()
            self.array[outside] = self._block[inside]
            self.has_holes |= self.is_watched and bool(np.isnan(self._block[inside]).any())
            self._held = [*self._held[-1:], (self.now - 1, outside)]

    def _forget(self, output: "_Open", inside: tuple[slice, ...], outside: tuple[slice, ...]) -> None:
        """Poison what may still be on its way from a window in the same memory: blocks left in the last two steps.

        A block is fetched while the step before is at work, and written back while the one after is.
        """
        held = [places for left, places in output._held if self.now - left <= _UNDER_WAY]
        if output._block is not None and output._window.bounds is not None:
            held.append(output._places()[1])
        for places in held:
            both = [
                slice(max(mine.start, its.start), min(mine.stop, its.stop))
                for mine, its in zip(outside, places, strict=True)
            ]
            if all(each.start < each.stop for each in both):
                block = self._block[
                    tuple(
                        slice(each.start - mine.start + at.start, each.stop - mine.start + at.start)
                        for each, mine, at in zip(both, outside, inside, strict=True)
                    )
                ]
                block[...] = poison(block.shape, block.dtype)

    def _places(self) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Where the block and the array overlap, in the block and in the array."""
        bounds, index = self._window.bounds, self._index
        assert bounds is not None
        assert index is not None
        inside, outside = [], []
        for number, size, extent, pad in zip(index, bounds, self.array.shape, self._window.pad_low, strict=True):
            start = number - pad if self._window.by_element else number * size
            low, high = max(start, 0), min(start + size, extent)
            if start < -pad or low >= max(high, 1):
                raise OutOfBounds(f"block {index} of {bounds} lies outside of {self.array.shape}")
            inside.append(slice(low - start, high - start))
            outside.append(slice(low, high))
        return tuple(inside), tuple(outside)
