"""Which inputs does every output of a program depend on, and which kernels are alive?

Follows values through functions, loops, branches and kernels. It is about the text: `0 * x` depends on x here. What
an input really changes is for probes that change it.
"""

from collections.abc import Callable
from typing import Any

from jaxlib.mlir import ir

Origins = frozenset[Any]  # numbers of inputs, and ("kernel", position) of kernels passed through
_NONE: Origins = frozenset()
KernelReads = Callable[[Any], list[int]]


class Flow:
    """Origins of values in one module. `reads` gives, for a kernel's custom call, the operands it looks at."""

    def __init__(self, module: Any, reads: KernelReads, is_kernel: Callable[[Any], bool]) -> None:
        self._functions = {
            ir.StringAttr(view.operation.attributes["sym_name"]).value: view.operation
            for view in module.body
            if view.operation.name == "func.func"
        }
        self._reads = reads
        self._is_kernel = is_kernel
        self.kernels: list[Any] = []
        self.decisions: dict[Any, Origins] = {}  # of branches and loops, by their operation

    def of_main(self) -> list[Origins]:
        """Origins of every result of `main`."""
        block = self._functions["main"].regions[0].blocks[0]
        return self._block(block, [frozenset([index]) for index in range(len(block.arguments))], {})

    def _block(self, block: Any, arguments: list[Origins], outer: dict[Any, Origins]) -> list[Origins]:
        known = {**outer, **dict(zip(block.arguments, arguments, strict=True))}
        for view in block:
            operation = view.operation
            operands = [known.get(operand, _NONE) for operand in operation.operands]
            if not len(operation.results):
                last = operands
            for result, origins in zip(
                operation.results, self._operation(operation, operands, known), strict=True
            ):
                known[result] = origins
        return last

    def _operation(self, operation: Any, operands: list[Origins], known: dict[Any, Origins]) -> list[Origins]:
        special = {
            "func.call": self._call,
            "call": self._call,
            "stablehlo.while": self._while,
            "stablehlo.case": self._branches,
            "stablehlo.if": self._branches,
        }.get(operation.name)
        if special is not None:
            return special(operation, operands, known)
        if self._is_kernel(operation):
            return self._kernel(operation, operands)
        everything = _join(operands)
        for region in operation.regions:
            for block in region:
                everything |= _join(self._block(block, [everything] * len(block.arguments), known))
        return [everything] * len(operation.results)

    def _kernel(self, operation: Any, operands: list[Origins]) -> list[Origins]:
        if operation not in self.kernels:
            self.kernels.append(operation)
        passed = frozenset([("kernel", self.kernels.index(operation))])
        origins = _join([operands[index] for index in self._reads(operation)]) | passed
        return [origins] * len(operation.results)

    def _call(self, operation: Any, operands: list[Origins], known: dict[Any, Origins]) -> list[Origins]:
        del known
        callee = self._functions[ir.FlatSymbolRefAttr(operation.attributes["callee"]).value]
        return self._block(callee.regions[0].blocks[0], operands, {})

    def _while(self, operation: Any, operands: list[Origins], known: dict[Any, Origins]) -> list[Origins]:
        condition, body = (region.blocks[0] for region in operation.regions)
        state = operands
        while True:
            decides = _join(self._block(condition, state, known))
            after = [
                before | made | decides
                for before, made in zip(state, self._block(body, state, known), strict=True)
            ]
            if after == state:
                self.decisions[operation] = self.decisions.get(operation, _NONE) | decides
                return state
            state = after

    def _branches(self, operation: Any, operands: list[Origins], known: dict[Any, Origins]) -> list[Origins]:
        self.decisions[operation] = self.decisions.get(operation, _NONE) | operands[0]
        made = [self._block(region.blocks[0], [], known) for region in operation.regions]
        return [operands[0] | _join(list(results)) for results in zip(*made, strict=True)]


def _join(origins: list[Origins]) -> Origins:
    return _NONE.union(*origins)
