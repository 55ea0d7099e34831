"""Instructions that share one program: the compiler dumps a program once, however many instructions are alike.

Two instructions are alike when opcode, shapes with layouts, operands' shapes, attributes and - for a fusion - the
whole fused computation agree. Names and source locations do not count.
"""

import re
from collections.abc import Container
from typing import Any

from cairn.lab.hlo import Computation, Instruction, Module

_INCIDENTAL = re.compile(r",? *(?:metadata|sharding|frontend_attributes|backend_config)=.*", re.DOTALL)
_NAMES = re.compile(r"%[\w.\-]+")
_MAX_NESTING = 16


class Twins:
    """Finds for an instruction without a dumped program one that has the same program.

    Args:
        module: the scheduled module.
        dumped: names of the instructions that have a program in the dump.
    """

    def __init__(self, module: Module, dumped: Container[str]) -> None:
        self._module = module
        self._dumped = dumped
        self._names: dict[Any, str] | None = None

    def find(self, instruction: Instruction, computation: Computation) -> str | None:
        """Name under which the instruction's program was dumped, None when there is none."""
        if instruction.name in self._dumped:
            return instruction.name
        if self._names is None:
            self._names = {
                self._signature(candidate, owner): candidate.name
                for owner in self._module.computations.values()
                for candidate in owner.instructions
                if candidate.name in self._dumped
            }
        return self._names.get(self._signature(instruction, computation)) if self._names else None

    def _signature(self, instruction: Instruction, computation: Computation, depth: int = 0) -> Any:
        operands = [computation.find(name) for name in instruction.operands]
        shapes = tuple(operand.shapes if operand else () for operand in operands)
        own = (instruction.opcode, instruction.shapes, shapes, self._attributes(instruction), instruction.literal)
        callee = self._module.computations.get(instruction.attribute("calls") or "")
        if callee is None or depth > _MAX_NESTING:
            return own
        places = {inner.name: place for place, inner in enumerate(callee.instructions)}
        inside = tuple(
            (self._signature(inner, callee, depth + 1), tuple(places.get(name) for name in inner.operands))
            for inner in callee.instructions
        )
        return (*own, inside)

    def _attributes(self, instruction: Instruction) -> str:
        """Attributes that decide the program; of a custom call all of them, as its body is among them."""
        if instruction.opcode == "custom-call":
            return re.sub(r"metadata=\{[^}]*\}", "", instruction.attributes)
        return _NAMES.sub("", _INCIDENTAL.sub("", instruction.attributes))
