"""Turns the blocks of a Mosaic function into lists of NumPy calls, once, so that a grid step only runs them.

Every value gets a slot of one list. An operation whose operands are all known runs at once and its result stays
(iotas, masks and constants are most of a kernel); one whose results nobody reads is left out if it has no effect;
a slot is emptied after its last reader. What is not in the tables of `mosaic_ops_*` raises `Unreplayable`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxlib.mlir import ir
from mosaic_arithmetic import computes, flushed  # type: ignore[import-not-found]
from mosaic_types import MISTAKES, Kind, Unreplayable, kind_of  # type: ignore[import-not-found]

Make = Callable[["Node"], Callable[..., Any]]


@dataclass(frozen=True)
class Tables:
    """Makers by the operation's name.

    pure: no effects, and the same operands give the same result; reads: may be left out when nobody reads the
    result, but not moved; effects: everything else.
    """

    pure: Mapping[str, Make]
    reads: Mapping[str, Make]
    effects: Mapping[str, Make]


TERMINATORS = {"scf.yield", "tpu.yield", "func.return", "scf.condition"}


class Node:
    """One operation as its maker sees it: attributes as Python values, kinds of operands and results, regions."""

    def __init__(self, operation: Any, builder: "Builder") -> None:
        self.operation = operation
        self.builder = builder
        self.name: str = operation.name
        self.operands = list(operation.operands)
        self.results = list(operation.results)

    def unreplayable(self, why: str) -> Unreplayable:
        return Unreplayable(f"{self.name}: {why}")

    def has(self, name: str) -> bool:
        return name in self.operation.attributes

    def text(self, name: str) -> str:
        return str(self.operation.attributes[name])

    def number(self, name: str, default: int = 0) -> int:
        if not self.has(name):
            return default
        return int(ir.IntegerAttr(self.operation.attributes[name]).value)

    def numbers(self, name: str) -> list[int]:
        """A list of integers, in whichever of MLIR's forms it is written."""
        return integers(self.operation.attributes[name])

    def kind(self, index: int) -> Kind:
        """Kind of an operand."""
        return self._kind(self.operands[index])

    def result(self, index: int = 0) -> Kind:
        """Kind of a result."""
        return self._kind(self.results[index])

    def _kind(self, value: Any) -> Kind:
        kind = kind_of(value.type)
        if kind is None:
            raise self.unreplayable(f"a value of type {value.type}")
        return kind

    def known(self, value: Any) -> Any:
        """The value of an operand that does not depend on the grid or on memory; None for any other."""
        slot = self.builder.slots[value]
        return self.builder.slot_values[slot] if slot in self.builder.known else None

    def block(self, region: int = 0) -> "Block":
        """The single block of a region, built."""
        return self.builder.block(self.operation.regions[region].blocks[0])


def integers(attribute: Any) -> list[int]:
    """Integers of an ArrayAttr, a dense array or dense elements."""
    if isinstance(attribute, ir.ArrayAttr):
        return [int(ir.IntegerAttr(item).value) for item in attribute]
    return [int(item) for item in attribute]


class Block:
    """A built block: put arguments into `arguments`, then `run` gives the values of the terminator."""

    __slots__ = ("_results", "_steps", "_values", "arguments")

    def __init__(
        self, values: list[Any], arguments: list[int], steps: list[tuple[Any, ...]], results: list[int]
    ) -> None:
        self._values = values
        self.arguments = arguments
        self._steps = steps
        self._results = results

    def run(self, *arguments: Any) -> list[Any]:
        values = self._values
        for slot, argument in zip(self.arguments, arguments, strict=True):
            values[slot] = argument
        for call, operands, results, dead in self._steps:
            made = call(*[values[slot] for slot in operands])
            if type(results) is int:
                values[results] = made
            elif results is not None:
                for slot, value in zip(results, made, strict=True):
                    values[slot] = value
            for slot in dead:
                values[slot] = None
        return [values[slot] for slot in self._results]


class Builder:
    """Builds the functions of one kernel; `slot_values` is the kernel's memory for values."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.slots: dict[Any, int] = {}
        self.slot_values: list[Any] = []
        self.known: set[int] = set()
        self._used: list[set[int]] = []
        self._seen: dict[Any, Any] = {}

    def function(self, operation: Any) -> Block:
        return self.block(operation.regions[0].blocks[0])

    def block(self, block: Any) -> Block:
        """Build one block; values of enclosing blocks are visible."""
        self._used.append(set())
        arguments = [self._new_slot(argument) for argument in block.arguments]
        steps: list[tuple[Any, ...]] = []
        uses: list[set[int]] = []
        results: list[int] = []
        for view in block:
            operation = view.operation
            if operation.name in TERMINATORS:
                results = [self._use(operand) for operand in operation.operands]
                continue
            self._used.append(set())
            step = self._step(operation)
            used = self._used.pop()
            if step is not None:
                steps.append(step)
                uses.append(used)
            self._used[-1] |= used
        used = self._used.pop()
        if self._used:
            self._used[-1] |= used
        return Block(self.slot_values, arguments, _with_deaths(steps, uses, {*results, *self.known}), results)

    def _new_slot(self, value: Any) -> int:
        self.slots[value] = len(self.slot_values)
        self.slot_values.append(None)
        return self.slots[value]

    def _use(self, value: Any) -> int:
        slot = self.slots[value]
        self._used[-1].add(slot)
        return slot

    def _step(self, operation: Any) -> tuple[Any, ...] | None:
        name, tables = operation.name, self._tables
        make = tables.effects.get(name) or tables.pure.get(name) or tables.reads.get(name)
        if make is None:
            raise Unreplayable(name)
        if name not in tables.effects and not any(_is_read(result) for result in operation.results):
            return None
        operands = [self._use(operand) for operand in operation.operands]
        if name in tables.pure and self.known.issuperset(operands):
            self._fold(operation, make, operands)
            return None
        try:
            call = make(Node(operation, self))
        except MISTAKES as error:
            raise Unreplayable(f"{name}: {type(error).__name__}: {error}") from error
        slots = [self._new_slot(result) for result in operation.results]
        return call, operands, _results(slots), slots

    def _fold(self, operation: Any, make: Make, operands: list[int]) -> None:
        """Run now; equal operations on equal operands share one result."""
        attributes = operation.attributes
        said = tuple((name, str(attributes[name])) for name in sorted(attributes))
        key = (operation.name, said, tuple(operands), str(operation.results[0].type))
        slot = self._seen.get(key)
        if slot is None:
            values = [self.slot_values[slot] for slot in operands]
            try:
                made = _computed(operation.name, make(Node(operation, self)), values)
            except MISTAKES as error:
                raise Unreplayable(f"{operation.name}: {type(error).__name__}: {error}") from error
            slot = self._new_slot(operation.results[0])
            self.slot_values[slot] = made
            self.known.add(slot)
            self._seen[key] = slot
        self.slots[operation.results[0]] = slot


def _computed(name: str, call: Callable[..., Any], values: list[Any]) -> Any:
    """A result as a grid step would get it, on a thread without denormal floats."""
    return flushed(call(*map(flushed, values))) if computes(name) else call(*values)


def _is_read(value: Any) -> bool:
    return next(iter(value.uses), None) is not None


def _results(slots: list[int]) -> int | list[int] | None:
    if not slots:
        return None
    return slots[0] if len(slots) == 1 else slots


def _with_deaths(steps: list[tuple[Any, ...]], uses: list[set[int]], kept: set[int]) -> list[tuple[Any, ...]]:
    """Add to every step the slots of this block that nobody reads afterwards."""
    local = {slot for step in steps for slot in step[3]}
    later: set[int] = set(kept)
    finished: list[tuple[Any, ...]] = []
    for (call, operands, results, made), used in zip(reversed(steps), reversed(uses), strict=True):
        dead = ((used & local) | set(made)) - later
        later |= used
        finished.append((call, operands, results, sorted(dead)))
    finished.reverse()
    return finished
