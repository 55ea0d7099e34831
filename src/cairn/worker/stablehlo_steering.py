"""Whole numbers that steer a kernel and come out of floating point: does it get here what the price is for?

How many turns a kernel's loops have may follow from constants of the program round it; the price is for what XLA
makes of them (`known_operands`). In whole numbers that is what XLA makes of them here. A rounding is not: it may be
left out, joined with the next operation, or done by another routine, as the program round it happens to be cut. So a
program could be right with eight turns and be priced for four. Where floats become whole numbers outside of a kernel,
its operands are held against those of the price in every run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxlib.mlir import ir
from known_operands import known_operands  # type: ignore[import-not-found]
from mosaic_types import Unreplayable  # type: ignore[import-not-found]

# they hand on what they are given, a float as a float
_HAND_ON = {"func.call", "func.return", "stablehlo.return", "stablehlo.optimization_barrier"}


class Steering:
    """What one program's kernels are given of whole numbers, as far as a price knows it.

    Args:
        text: the program's module.
        everywhere: its operations.
        kept: which of the inputs its `main` takes.
    """

    def __init__(self, text: Any, everywhere: Iterable[Any], kept: Sequence[int]) -> None:
        self._text = text
        self._kept = list(kept)
        self._rounds = any(map(_makes_integers_of_floats, everywhere))
        self._given: dict[int, list[int]] | None = None
        self._priced: list[dict[str, Any]] = []

    def begin(self, inputs: Sequence[Any]) -> None:
        """Work out what the price would be for, if it knew the whole numbers among these inputs."""
        if self._rounds:
            given = {
                place: inputs[index].ravel().tolist()
                for place, index in enumerate(self._kept)
                if inputs[index].dtype.kind in "iu"
            }
            if given != self._given:
                self._given, self._priced = given, _known(self._text, given)

    def checked(self, operation: Any, program: Callable[..., Any]) -> Callable[..., Any]:
        """The program of a kernel's call, which raises Unreplayable where it is given other whole numbers."""
        types = [str(operand.type) for operand in operation.operands]

        def call(*operands: Any) -> Any:
            alike = [known["values"] for known in self._priced if known["operands"] == types]
            for number, operand in enumerate(operands):
                expected = [values.get(str(number)) for values in alike]
                if expected and None not in expected and _words(operand) not in expected:
                    raise Unreplayable("a rounding decides what a kernel does; it is priced for another one")
            return program(*operands)

        return call


def _known(text: Any, given: Mapping[int, Sequence[int]]) -> list[dict[str, Any]]:
    """Nothing where it cannot be worked out, as for the price, which is refused then where it matters."""
    try:
        found: list[dict[str, Any]] = known_operands(text, given)
    except (ir.MLIRError, RuntimeError, ValueError, KeyError, IndexError, RecursionError):
        return []
    return found


def _makes_integers_of_floats(operation: Any) -> bool:
    if operation.name in _HAND_ON or len(operation.regions):
        return False
    return any(map(_is_float, operation.operands)) and not all(map(_is_float, operation.results))


def _is_float(value: Any) -> bool:
    if not isinstance(value.type, ir.ShapedType):
        return False
    element = value.type.element_type
    return isinstance(element, ir.FloatType | ir.ComplexType)


def _words(operand: Any) -> list[int]:
    return [int(word) for word in np.asarray(operand).ravel()]
