"""Scalars of scheduled HLO: what a loop counter is in a given iteration, and how often a loop runs.

Only what follows from constants is evaluated. Anything else is None, and the caller refuses or goes on without.
"""

import operator
import re
from collections.abc import Callable

from cairn.lab.hlo import Computation, Instruction, Module

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "LT": operator.lt,
    "LE": operator.le,
    "GT": operator.gt,
    "GE": operator.ge,
    "EQ": operator.eq,
    "NE": operator.ne,
}
_BINARY: dict[str, Callable[[int, int], int]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "minimum": min,
    "maximum": max,
    "and": operator.and_,
    "or": operator.or_,
}
_SAME = ("copy", "bitcast", "convert", "copy-done", "copy-start")
_WHOLE = ("copy", "bitcast", "copy-done", "copy-start")  # without conversions, which may cut a number short
_INTEGER = re.compile(r"([su])(\d+)|pred")
_MAX_TRIPS = 10_000_000


class Scalars:
    """Values of scalar instructions in one computation, given those of its parameter tuple by index."""

    def __init__(self, computation: Computation, parameters: dict[int, int] | None = None) -> None:
        self._by_name = {instruction.name: instruction for instruction in computation.instructions}
        self._parameters = parameters or {}

    def value(self, name: str, depth: int = 0) -> int | None:
        """The scalar's value, None when it does not follow from constants."""
        instruction = self._by_name.get(name)
        if instruction is None or depth > 64:
            return None
        if instruction.opcode == "constant":
            return _literal(instruction.literal)
        if instruction.opcode == "get-tuple-element":
            return self._element(instruction, depth)
        values = [self.value(operand, depth + 1) for operand in instruction.operands]
        known = [value for value in values if value is not None]
        made = _apply(instruction, known) if values and len(known) == len(values) else None
        return None if made is None else _as_stored(made, instruction)

    def _element(self, instruction: Instruction, depth: int) -> int | None:
        source = self._by_name.get(instruction.operands[0])
        index = int(instruction.attribute("index") or -1)
        if source is not None and source.opcode == "parameter":
            return self._parameters.get(index)
        if source is not None and source.opcode == "tuple" and 0 <= index < len(source.operands):
            return self.value(source.operands[index], depth + 1)
        return None


def _apply(instruction: Instruction, values: list[int]) -> int | None:
    if instruction.opcode in _SAME:
        return values[0]
    if instruction.opcode in _BINARY and len(values) == 2:
        return _BINARY[instruction.opcode](*values)
    if instruction.opcode == "compare":
        return int(_COMPARE[instruction.attribute("direction") or "EQ"](*values))
    if instruction.opcode == "not":
        return int(not values[0])
    if instruction.opcode == "select":
        return values[1] if values[0] else values[2]
    return None


def _as_stored(value: int, instruction: Instruction) -> int | None:
    """A result in the instruction's own type, round which it wraps; None for a type that holds no whole numbers."""
    match = _INTEGER.fullmatch(instruction.shapes[0].dtype) if instruction.shapes else None
    if match is None:
        return None
    if match[0] == "pred":
        return int(value != 0)
    bits = int(match[2])
    value &= (1 << bits) - 1
    return value - (1 << bits) if match[1] == "s" and value >> (bits - 1) else value


def _literal(text: str) -> int | None:
    text = text.strip().removeprefix("{").removesuffix("}")  # an array of one element
    if text in ("true", "false"):
        return int(text == "true")
    return int(text) if text.lstrip("-").isdigit() else None


class Loop:
    """A `while` whose counter and bound follow from constants."""

    def __init__(self, module: Module, loop: Instruction, outer: Computation, outer_scalars: Scalars) -> None:
        self.body = module.computations[loop.attribute("body") or ""]
        self._condition = module.computations[loop.attribute("condition") or ""]
        start = outer.find(loop.operands[0])
        initial = start.operands if start is not None and start.opcode == "tuple" else ()
        self._start = {i: v for i, name in enumerate(initial) if (v := outer_scalars.value(name)) is not None}
        self._invariant = self._unchanged()

    def _unchanged(self) -> set[int]:
        """Indices that the body passes on as they are."""
        root = self.body.root
        if root is None or root.opcode != "tuple":
            return set()
        sources = (self.body.find(name) for name in root.operands)
        return {
            index
            for index, source in enumerate(sources)
            if source is not None
            and source.opcode == "get-tuple-element"
            and source.attribute("index") == str(index)
            and (origin := self.body.find(source.operands[0])) is not None
            and origin.opcode == "parameter"
        }

    def trips(self) -> int | None:
        """How often the body runs, None when that is not known."""
        counter = self._counter()
        if counter is None or counter not in self._start or self._condition.root is None:
            return None
        step = self._step(counter)
        if step is None or step <= 0:
            return None
        low, high = 0, _MAX_TRIPS  # the condition holds for the first `trips` values of the counter, then fails
        if self._holds(counter, self._start[counter] + step * high) is not False:
            return None
        while low < high:
            middle = (low + high) // 2
            holds = self._holds(counter, self._start[counter] + step * middle)
            if holds is None:
                return None
            low, high = (middle + 1, high) if holds else (low, middle)
        return low

    def scalars(self, iteration: int) -> Scalars:
        """Values inside the body in an iteration counted from 0."""
        known = {index: self._start[index] for index in self._invariant if index in self._start}
        counter = self._counter()
        step = None if counter is None else self._step(counter)
        if counter is not None and step is not None and counter in self._start:
            known[counter] = self._start[counter] + step * iteration
        return Scalars(self.body, known)

    def uneven(self, is_kernel: Callable[[Instruction], bool]) -> bool:
        """Whether a kernel's scalar operand, or where an inner loop ends, depends on which iteration it is."""
        counting = self.scalars(0)
        known = {index: self._start[index] for index in self._invariant if index in self._start}
        standing = Scalars(self.body, known)
        for instruction in self.body.instructions:
            names = instruction.operands if is_kernel(instruction) else ()
            if instruction.opcode == "while":
                state = self.body.find(instruction.operands[0])
                names = state.operands if state is not None else ()
            if any(counting.value(name) is not None and standing.value(name) is None for name in names):
                return True
        return False

    def _counter(self) -> int | None:
        """The one changing index that the condition's comparison reads."""
        root = self._condition.root
        if root is None or root.opcode != "compare" or root.attribute("direction") not in ("LT", "LE"):
            return None
        source = self._condition.find(root.operands[0])
        while source is not None and source.opcode in _SAME:
            source = self._condition.find(source.operands[0])
        if source is None or source.opcode != "get-tuple-element":
            return None
        return int(source.attribute("index") or -1)

    def _step(self, counter: int) -> int | None:
        """By how much the body moves the counter, where that is the counter plus a constant and nothing else."""
        root = self.body.root
        if root is None or root.opcode != "tuple":
            return None
        moved = self.body.find(root.operands[counter])
        while moved is not None and moved.opcode in _WHOLE:
            moved = self.body.find(moved.operands[0])
        if moved is None or moved.opcode not in ("add", "subtract"):
            return None
        left, right = moved.operands
        if moved.opcode == "add" and self._is_element(right, counter):
            left, right = right, left
        step = Scalars(self.body).value(right)
        if step is None or not self._is_element(left, counter):
            return None
        return step if moved.opcode == "add" else -step

    def _is_element(self, name: str, index: int) -> bool:
        """Whether a value is an element of what the body was given, as it is."""
        source = self.body.find(name)
        while source is not None and source.opcode in _WHOLE:
            source = self.body.find(source.operands[0])
        if source is None or source.opcode != "get-tuple-element" or source.attribute("index") != str(index):
            return False
        origin = self.body.find(source.operands[0])
        return origin is not None and origin.opcode == "parameter"

    def _holds(self, counter: int, value: int) -> bool | None:
        known = {index: self._start[index] for index in self._invariant if index in self._start}
        assert self._condition.root is not None
        result = Scalars(self._condition, {**known, counter: value}).value(self._condition.root.name)
        return None if result is None else bool(result)
