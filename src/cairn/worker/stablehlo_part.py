"""Runs some steps of a program's one kernel on a part of its inputs, and proves that they saw no more than the part.

Round the kernel there may only be operations that work element by element or move elements about. They are followed
here in NumPy, with every array beside a mask of what was drawn: an element counts as drawn when all that it was made
of was. A step that fetches a block with any other element in it ends the run (`NotLocal`), and the judge draws whole
inputs. So what a step computes here is what it would compute whatever the rest of the inputs was, and no program can
tell that the rest is missing. Memory that was not drawn is never touched and costs nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax import export
from jaxlib.mlir import ir
from mosaic_build import integers  # type: ignore[import-not-found]
from mosaic_module import body_of, decode, new_context  # type: ignore[import-not-found]
from mosaic_run import KernelProgram, Sampling  # type: ignore[import-not-found]
from mosaic_types import NotLocal, dtype_named  # type: ignore[import-not-found]
from stablehlo_program import (  # type: ignore[import-not-found]
    aliases,
    call_target,
    check_form,
    check_layouts,
    operations,
)

_KERNEL_CALL = "tpu_custom_call"
_CALLS = {"func.call", "call"}
_MOST_MIXED = 0.01  # elements made of chosen steps and others, for each that is made of chosen ones alone
_MOST_OPERATIONS = 10_000  # what calls are replaced by; functions that call each other can multiply


class Tracked(NamedTuple):
    """An array, and which of its elements were made of what was drawn (or computed, for a kernel's results)."""

    array: Any
    known: Any


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "negate": np.negative,
    "abs": np.abs,
    "exponential": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
}


class PartProgram:
    """A program with one kernel whose steps can be run on a part of the inputs.

    Raises:
        NotLocal: it is not of that kind.
    """

    def __init__(self, exported: bytes) -> None:
        program = export.deserialize(bytearray(exported))
        check_form(program)
        self._shapes = [(tuple(aval.shape), np.dtype(aval.dtype)) for aval in program.in_avals]
        self._kept = list(program.module_kept_var_idx)
        with new_context(), ir.Location.unknown():
            self._module = ir.Module.parse(program.mlir_module())
            self._main = self._only_function()
            everything = list(operations(self._main))
            calls = [op for op in everything if op.name == "stablehlo.custom_call"]
            if len(calls) != 1 or call_target(calls[0]) != _KERNEL_CALL:
                raise NotLocal(f"{len(calls)} custom calls where one kernel is wanted")
            self._call = calls[0]
            self._moves = {op: _followed(op) for op in everything if op not in (self._call, everything[-1])}
            self._kernel = self._decoded()

    def _only_function(self) -> Any:
        """The program's `main`, with the bodies of all functions in the place of their calls."""
        functions = {
            ir.StringAttr(view.operation.attributes["sym_name"]).value: view.operation
            for view in self._module.body
            if view.operation.name == "func.func"
        }
        main = functions["main"].regions[0].blocks[0]
        room = _MOST_OPERATIONS
        while calls := [view.operation for view in main if view.operation.name in _CALLS]:
            for call in calls:
                room -= _inline(call, functions[ir.FlatSymbolRefAttr(call.attributes["callee"]).value])
                if room < 0:
                    raise NotLocal("a program of very many operations")
        return functions["main"]

    def _decoded(self) -> KernelProgram:
        check_layouts(self._call)
        kernel = decode(body_of(self._call))
        if kernel.dynamic_bounds or kernel.prefetched:
            raise NotLocal("a kernel that is steered by scalars")
        program = KernelProgram(kernel, len(self._call.operands), aliases(self._call))
        if not program.sampleable:
            raise NotLocal("a kernel that is not sampled")
        types = [ir.RankedTensorType(result.type) for result in self._call.results]
        program.output_shapes = [tuple(type_.shape) for type_ in types]
        return program

    def cover(self, cells: int, seed: int) -> list[Any]:
        """Which elements of the outputs the chosen steps compute.

        Raises:
            NotLocal: outputs mix what the chosen steps compute with what others do, which hides it.
        """
        masks = self._kernel.covered(Sampling(cells, seed))
        theirs = [made.known for made in self._outputs([Tracked(mask, mask) for mask in masks])]
        if not self._joins():
            return theirs
        outside = [~mask for mask in masks]
        others = [made.known for made in self._outputs([Tracked(mask, mask) for mask in outside])]
        for chosen, rest in zip(theirs, others, strict=True):
            if np.count_nonzero(~(chosen | rest)) > _MOST_MIXED * np.count_nonzero(chosen):
                raise NotLocal("outputs that mix the results of several steps")
        return theirs

    def run(self, parts: Sequence[Any], places: Sequence[Any], cells: int, seed: int) -> list[Any]:
        """The outputs; only elements that `cover` names mean anything. `places` index the parts in whole inputs.

        Raises:
            NotLocal: a step would have seen more than the parts.
        """
        drawn = [
            _spread(shape, dtype, part, place)
            for (shape, dtype), part, place in zip(self._shapes, parts, places, strict=True)
        ]
        arguments = self._main.regions[0].blocks[0].arguments
        known = {argument: drawn[index] for argument, index in zip(arguments, self._kept, strict=True)}
        operands = [self._follow(operand, known) for operand in self._call.operands]
        self._kernel.sampling = Sampling(cells, seed)
        self._kernel.known = [operand.known for operand in operands]
        try:
            results = self._kernel(*[operand.array for operand in operands])
        finally:
            self._kernel.sampling = self._kernel.known = None
        if self._kernel.doubtful:
            raise NotLocal("steps that may need what others left")
        return [made.array for made in self._outputs([Tracked(result, result) for result in results])]

    def _joins(self) -> bool:
        """Whether anything after the kernel is made of two of its results, or of one in two ways."""
        made = set(self._call.results)
        for view in self._main.regions[0].blocks[0]:
            used = [operand for operand in view.operation.operands if operand in made]
            if used and view.operation in self._moves:
                if len(used) > 1:
                    return True
                made.update(view.operation.results)
        return False

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        return [shape for shape, _ in self._shapes]

    def _outputs(self, results: Sequence[Tracked]) -> list[Tracked]:
        """What the program returns, from what its kernel does."""
        known = dict(zip(self._call.results, results, strict=True))
        returned = list(self._main.regions[0].blocks[0].operations)[-1]
        return [self._follow(operand, known) for operand in returned.operation.operands]

    def _follow(self, value: Any, known: dict[Any, Tracked]) -> Tracked:
        """The value of an operand, from values that are known."""
        if value not in known:
            owner = value.owner
            if not isinstance(owner, (ir.Operation, ir.OpView)) or owner.operation not in self._moves:
                raise NotLocal("an output that is not the kernel's alone")
            operation = owner.operation
            known[value] = self._moves[operation](*(self._follow(each, known) for each in operation.operands))
        return known[value]


def _inline(call: Any, function: Any) -> int:
    """Put a function's operations in the place of a call; gives their number."""
    body = function.regions[0].blocks[0]
    known = dict(zip(body.arguments, call.operands, strict=True))
    count = 0
    for view in body:
        operation = view.operation
        if operation.name in ("func.return", "return"):
            for old, new in zip(call.results, operation.operands, strict=True):
                old.replace_all_uses_with(known[new])
            continue
        if len(operation.regions):  # what stands in a region could name the function's own values
            raise NotLocal(operation.name)
        copy = operation.clone(ip=ir.InsertionPoint(call))
        for index, operand in enumerate(operation.operands):
            copy.operands[index] = known[operand]
        known |= zip(operation.results, copy.results, strict=True)
        count += 1
    call.erase()
    return count


def _spread(shape: tuple[int, ...], dtype: Any, part: Any, place: Any) -> Tracked:
    """A part in the midst of nothing."""
    array, known = np.zeros(shape, dtype), np.zeros(shape, np.bool_)
    array[place], known[place] = part, True
    return Tracked(array, known)


def _followed(operation: Any) -> Callable[..., Tracked]:
    """How an operation outside of the kernel acts on an array and on its mask."""
    name = operation.name.removeprefix("stablehlo.")
    if name in _ELEMENTWISE:
        act, dtype = _ELEMENTWISE[name], _dtype(operation.results[0])
        return lambda *given: Tracked(
            act(*(each.array for each in given)).astype(dtype, copy=False),
            np.logical_and.reduce([each.known for each in given]),
        )
    if name == "convert":
        dtype = _dtype(operation.results[0])
        return lambda x: Tracked(x.array.astype(dtype), x.known)
    if name == "constant":
        made = _constant(operation)
        return lambda: made
    if name == "pad":
        return _padded(operation)
    move = _move(name, operation)
    return lambda *given: Tracked(move(*(each.array for each in given)), move(*(each.known for each in given)))


def _padded(operation: Any) -> Callable[..., Tracked]:
    """Rows and columns of one value round an array; none of either leaves it as it is."""
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    low, high, interior = (integers(operation.attributes[name]) for name in names)
    if min([0, *low, *high]) < 0 or any(interior):
        raise NotLocal("padding between elements, or less than none")
    widths = list(zip(low, high, strict=True))

    def pad(x: Tracked, value: Tracked) -> Tracked:
        if not any(map(any, widths)):
            return x
        return Tracked(
            np.pad(x.array, widths, constant_values=value.array),
            np.pad(x.known, widths, constant_values=value.known),
        )

    return pad


def _constant(operation: Any) -> Tracked:
    """One value repeated; a table of values is not worth an array of its own here."""
    values = ir.DenseElementsAttr(operation.attributes["value"])
    if not values.is_splat:
        raise NotLocal("a table of constants")
    value = values.get_splat_value()
    number = (ir.FloatAttr if isinstance(value, ir.FloatAttr) else ir.IntegerAttr)(value).value
    shape = tuple(ir.RankedTensorType(operation.results[0].type).shape)
    array = np.broadcast_to(np.array(number).astype(_dtype(operation.results[0])), shape)
    return Tracked(array, np.broadcast_to(np.True_, shape))


def _move(name: str, operation: Any) -> Callable[..., Any]:
    """Operations that move elements and look at none."""
    shape = tuple(ir.RankedTensorType(operation.results[0].type).shape)
    attributes = operation.attributes
    if name == "reshape":
        return lambda x: x.reshape(shape)
    if name == "transpose":
        order = integers(attributes["permutation"])
        return lambda x: x.transpose(order)
    if name == "broadcast_in_dim":
        places = integers(attributes["broadcast_dimensions"])
        return lambda x: _broadcast(x, shape, places)
    if name == "slice":
        starts, limits, steps = (
            integers(attributes[key]) for key in ("start_indices", "limit_indices", "strides")
        )
        where = tuple(map(slice, starts, limits, steps))
        return lambda x: x[where]
    if name == "concatenate":
        axis = int(ir.IntegerAttr(attributes["dimension"]).value)
        return lambda *given: np.concatenate(given, axis)
    raise NotLocal(operation.name)


def _broadcast(x: Any, shape: tuple[int, ...], places: Sequence[int]) -> Any:
    wide = [1] * len(shape)
    for size, place in zip(x.shape, places, strict=True):
        wide[place] = size
    return np.broadcast_to(x.reshape(wide), shape)


def _dtype(value: Any) -> Any:
    return dtype_named(str(ir.RankedTensorType(value.type).element_type))
