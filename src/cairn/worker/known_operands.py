"""Integer operands of kernels that follow from what is known before it runs: masks, offsets, sizes of groups.

A kernel reads them to decide which blocks it visits, so without their values nobody can say how long it takes. They
are constants of the program or follow from constants; XLA for the CPU works them out. An operand that depends on an
input stays unknown, unless the caller says which integers that input holds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax._src import compiler, xla_bridge
from jax._src.interpreters import mlir
from jaxlib import xla_client
from jaxlib.mlir import ir

KERNEL_CALL = "tpu_custom_call"
MAX_INLINED = 256  # calls; a program with more is not looked at further
MAX_ELEMENTS = 1 << 18  # one kernel's scalar memory holds a megabyte
_INTEGERS = {
    **{"i32": np.int32, "ui32": np.uint32},
    **{"i16": np.int16, "ui16": np.uint16, "i8": np.int8, "ui8": np.uint8},  # masks are narrow
}
_FORBIDDEN = ("stablehlo.custom_call", "stablehlo.rng", "stablehlo.infeed", "stablehlo.recv")

Known = list[dict[str, Any]]


def known_operands(module_bytes: bytes, inputs: Mapping[int, Sequence[int]] | None = None) -> Known:
    """What is known of every kernel call, in the order of the program.

    Args:
        module_bytes: the exported program's module.
        inputs: flat values of integer arguments of its `main`, by their number.

    Returns:
        For each call `operands`, the types of all operands, and `values`, flat lists of integers by the number of
        the operand (as text). Calls inside loops and branches come last and have no values: they must not be taken
        for one that has.
    """
    with mlir.make_ir_context(), ir.Location.unknown():
        module = _Module(ir.Module.parse(module_bytes))
        module.give(inputs or {})
        module.inline_kernels()
        calls = [view.operation for view in module.main.regions[0].blocks[0] if _is_kernel(view.operation)]
        places = [
            (number, index, operand)
            for number, call in enumerate(calls)
            for index, operand in enumerate(call.operands)
            if _is_small_integer(operand.type) and module.follows_from_constants(operand)
        ]
        inside = module.calls_inside()
        known: Known = [
            {"operands": [str(o.type) for o in call.operands], "values": {}} for call in (*calls, *inside)
        ]
        arrays = module.evaluate([operand for _, _, operand in places]) if places else []
        for (number, index, _), array in zip(places, arrays, strict=True):
            known[number]["values"][str(index)] = array.astype(np.int64).ravel().tolist()
    return known


class _Module:
    """A module whose kernels are brought into `main`."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._functions = {
            ir.StringAttr(view.operation.attributes["sym_name"]).value: view.operation
            for view in module.body
            if view.operation.name == "func.func"
        }
        self.main = self._functions["main"]
        self._clean: dict[str, bool] = {}  # functions without kernels and anything else that is not arithmetic

    def give(self, inputs: Mapping[int, Sequence[int]]) -> None:
        """Put constants in the place of integer arguments of `main`."""
        block = self.main.regions[0].blocks[0]
        for number, values in inputs.items():
            argument = block.arguments[number]
            kind = _INTEGERS.get(str(argument.type.element_type))
            if kind is None:
                continue
            array: Any = np.asarray(values, kind).reshape(argument.type.shape)
            attribute = ir.DenseElementsAttr.get(array, type=argument.type.element_type)
            constant = ir.Operation.create(
                "stablehlo.constant",
                results=[argument.type],
                attributes={"value": attribute},
                ip=ir.InsertionPoint.at_block_begin(block),
            )
            argument.replace_all_uses_with(constant.result)

    def inline_kernels(self) -> None:
        """Replace calls in `main` of functions that contain kernels by their bodies, for as long as there are any."""
        block = self.main.regions[0].blocks[0]
        for _ in range(MAX_INLINED):
            call = next((v.operation for v in block if self._hides_a_kernel(v.operation)), None)
            if call is None:
                return
            self._inline(call)

    def _hides_a_kernel(self, operation: Any) -> bool:
        if operation.name != "func.call":
            return False
        return any(_is_kernel(inner) or self._hides_a_kernel(inner) for inner in _inside(self._callee(operation)))

    def _callee(self, call: Any) -> Any:
        return self._functions[ir.FlatSymbolRefAttr(call.attributes["callee"]).value]

    def _inline(self, call: Any) -> None:
        body = self._callee(call).regions[0].blocks[0]
        values = dict(zip(body.arguments, call.operands, strict=True))
        for view in body:
            operation = view.operation
            if operation.name == "func.return":
                for old, returned in zip(call.results, operation.operands, strict=True):
                    old.replace_all_uses_with(values.get(returned, returned))
                break
            copy = operation.clone(ip=ir.InsertionPoint(call))
            for inner in (copy, *_inside(copy)):
                for index, operand in enumerate(inner.operands):
                    if operand in values:
                        inner.operands[index] = values[operand]
            values.update(zip(operation.results, copy.results, strict=True))
        call.erase()

    def calls_inside(self) -> list[Any]:
        """Kernel calls in loops and branches of `main`, and in functions that these call."""
        found: list[Any] = []
        work = [inner for view in self.main.regions[0].blocks[0] for inner in _inside(view.operation)]
        seen: set[str] = set()
        while work:
            operation = work.pop()
            if _is_kernel(operation):
                found.append(operation)
            if operation.name == "func.call":
                name = ir.FlatSymbolRefAttr(operation.attributes["callee"]).value
                work += [] if name in seen else _inside(self._functions[name])
                seen.add(name)
        return found

    def follows_from_constants(self, value: Any) -> bool:
        """Whether no input, no kernel and nothing random is behind a value of `main`."""
        work, seen = [value], set()
        while work:
            owner = work.pop().owner
            if isinstance(owner, ir.Block):
                return False
            if owner in seen:
                continue
            seen.add(owner)
            if not self._is_arithmetic(owner):
                return False
            work.extend(owner.operands)
            work.extend(_captured(owner))
        return True

    def _is_arithmetic(self, operation: Any) -> bool:
        return all(self._is_plain(inner) for inner in (operation, *_inside(operation)))

    def _is_plain(self, operation: Any) -> bool:
        if operation.name != "func.call":
            return not operation.name.startswith(_FORBIDDEN)
        name = ir.FlatSymbolRefAttr(operation.attributes["callee"]).value
        if name not in self._clean:
            self._clean[name] = False  # a cycle is not arithmetic
            self._clean[name] = all(self._is_plain(inner) for inner in _inside(self._functions[name]))
        return self._clean[name]

    def evaluate(self, values: list[Any]) -> list[Any]:
        """Turn `main` into a function of nothing that returns the values, and run it on the CPU."""
        block = self.main.regions[0].blocks[0]
        last = list(block.operations)[-1].operation
        ir.Operation.create(last.name, operands=values, ip=ir.InsertionPoint(last))
        last.erase()
        for view in list(reversed(list(block.operations)[:-1])):
            if not any(list(result.uses) for result in view.operation.results):
                view.operation.erase()
        while len(block.arguments):
            block.erase_argument(0)
        types = [value.type for value in values]
        self.main.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get([], types))
        for name in ("arg_attrs", "res_attrs"):
            if name in self.main.attributes:
                del self.main.attributes[name]
        for function in self._functions.values():
            if any(_is_kernel(inner) or self._hides_a_kernel(inner) for inner in _inside(function)):
                function.erase()
        devices = xla_client.DeviceList(tuple(jax.devices("cpu")[:1]))
        options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
        backend = xla_bridge.get_backend("cpu")
        executable = compiler.backend_compile_and_load(backend, self._module, devices, options, [])
        return [np.asarray(output) for output in executable.execute([])]


def _is_kernel(operation: Any) -> bool:
    return (
        operation.name == "stablehlo.custom_call"
        and ir.StringAttr(operation.attributes["call_target_name"]).value == KERNEL_CALL
    )


def _is_small_integer(type_: Any) -> bool:
    if not isinstance(type_, ir.RankedTensorType):
        return False
    return str(type_.element_type) in _INTEGERS and math.prod(type_.shape) <= MAX_ELEMENTS


def _inside(operation: Any) -> list[Any]:
    """Every operation in the regions of one."""
    found: list[Any] = []
    for region in operation.regions:
        for block in region:
            for view in block:
                found.append(view.operation)
                found.extend(_inside(view.operation))
    return found


def _captured(operation: Any) -> list[Any]:
    """Values that the operation's regions read from outside."""
    inner = _inside(operation)
    blocks = [block for owner in (operation, *inner) for region in owner.regions for block in region]
    own = {result for owner in inner for result in owner.results}
    own |= {argument for block in blocks for argument in block.arguments}
    return [operand for owner in inner for operand in owner.operands if operand not in own]
