"""Facts about an exported program, for a judge that wants to know what was lowered before it believes a price."""

import contextlib
import re
from collections import Counter
from collections.abc import Sequence, Set
from typing import Any

import jax
from jax import export
from jax._src.export._export import _CUSTOM_CALL_TARGETS_GUARANTEED_STABLE as STABLE_CALLS
from jaxlib.mlir import ir
from lapack_calls import fits  # type: ignore[import-not-found]
from mosaic_branches import data_branches  # type: ignore[import-not-found]
from mosaic_facts import (  # type: ignore[import-not-found]
    KernelCount,
    skeleton,
    unread_operands,
)
from mosaic_module import DYNAMIC, Kernel, body_of, config_of, decode, new_context  # type: ignore[import-not-found]
from mosaic_types import Unreplayable  # type: ignore[import-not-found]
from program_constants import constant_contents, constant_fact  # type: ignore[import-not-found]
from stablehlo_composites import COMPOSITE, RAGGED_DOT, composite_name, precision_of  # type: ignore[import-not-found]
from stablehlo_flow import Flow  # type: ignore[import-not-found]
from stablehlo_program import (  # type: ignore[import-not-found]
    HARMLESS_CALLS,
    KERNEL_CALL,
    LAYOUT_CALL,
    aliases,
    call_target,
    check_types,
    dot_precision,
    operations,
)

_TALKS_TO_HOST = {f"stablehlo.{name}" for name in ("infeed", "outfeed", "send", "recv")}
_DOTS = {"stablehlo.dot_general": "", "stablehlo.dot": "", "stablehlo.convolution": "convolution "}
# the generator behind it counts the calls of a program, which could be right in those that are looked at
_STATEFUL = "stablehlo.rng"
_MOST_CONSTANTS = 32
_USUAL_UNIT = "dense"  # as jax names it where somebody asks for what is usual anyway
# what jax itself lowers to on a TPU and its compiler knows: no kernel, but nobody's trick either; not replayable
_COMPILER_CALLS = frozenset(
    {"Eigh", "Qr", "ProductOfElementaryHouseholderReflectors", "LuDecomposition", "ApproxTopK", "AllocateBuffer"}
)
# what XLA replaces by ordinary operations wherever the chip has nothing of the kind
_REPLACED_CALLS = frozenset({"ApproxTopK"})
# kernels on a GPU: their source is compiled by XLA; they hold no address in this or any process
_GPU_KERNEL_CALLS = frozenset({"mosaic_gpu_v2", "__gpu$xla.gpu.triton"})


def facts_of(exported: bytes, platform: str) -> dict[str, Any]:
    """What `cairn.judge.replay.ProgramFacts` holds, as JSON.

    Raises:
        Unreplayable: it is not a program for one device of this platform.
    """
    program = _program(exported, platform)
    with new_context(), ir.Location.unknown():
        module = ir.Module.parse(program.mlir_module())
        check_types(module, program)
        facts = _Reading(module, program.module_kept_var_idx, len(program.in_avals), platform).facts()
    flat: Any = jax.tree.structure(tuple(range(len(program.out_avals))))
    return {**facts, "flat": bool(flat == program.out_tree)}


def constants_of(exported: bytes, platform: str, sizes: Set[int]) -> list[Any]:
    """Values of the constants that have one of these numbers of elements, in kernels and round them.

    Raises:
        Unreplayable: it is not a program for one device of this platform.
    """
    program = _program(exported, platform)
    with new_context(), ir.Location.unknown():
        module = ir.Module.parse(program.mlir_module())
        outside = list(operations(module.operation))
        found = [each for operation in outside for each in _contents(operation, sizes)]
        for call in filter(_is_kernel, outside):
            with contextlib.suppress(Unreplayable, ir.MLIRError, ValueError, KeyError):
                kernel = decode(body_of(call))  # has to live as long as its operations
                for operation in operations(kernel.module.operation):
                    found += _contents(operation, sizes)
    return found


def _contents(operation: Any, sizes: Set[int]) -> list[Any]:
    is_constant = operation.name in ("stablehlo.constant", "arith.constant")
    return list(constant_contents(operation, sizes)) if is_constant else []


def _program(exported: bytes, platform: str) -> Any:
    program = export.deserialize(bytearray(exported))
    if program.nr_devices != 1 or tuple(program.platforms) != (platform,):
        raise Unreplayable(f"a program for {program.nr_devices} devices, {', '.join(program.platforms)}")
    return program


class _Reading:
    """One module and what is read from it."""

    def __init__(self, module: Any, kept: Sequence[int], inputs: int, platform: str) -> None:
        self._known = HARMLESS_CALLS | (_COMPILER_CALLS if platform == "tpu" else _calls_of(platform))
        self._module = module
        self._kept = list(kept)
        self._inputs = inputs
        self._decoded: dict[Any, Kernel | str] = {}
        self._constants: list[dict[str, Any]] = []

    def facts(self) -> dict[str, Any]:
        flow = Flow(self._module, self._read_operands, _is_kernel)
        origins = flow.of_main()
        output_inputs = [self._inputs_in(origin) for origin in origins]
        alive = {key[1] for origin in origins for key in origin if isinstance(key, tuple)}
        everywhere = list(operations(self._module.operation))
        called = [(op, call_target(op)) for op in everywhere if op.name == "stablehlo.custom_call"]
        calls = Counter(target for _, target in called)
        del calls[KERNEL_CALL]
        misfits = {target for op, target in called if not (fits(op, target) and _keeps_its_array(op, target))}
        if any(op.name == _STATEFUL for op in everywhere):
            raise Unreplayable(f"{_STATEFUL} gives other numbers in every call")
        talking = sorted({op.name for op in everywhere if op.name in _TALKS_TO_HOST})
        units = {(op.name, unit) for op in everywhere if (unit := _unit(op)) != _USUAL_UNIT}
        if any(unit.startswith("sparse") for _, unit in units):
            raise Unreplayable("a part of it is marked for sparse cores, which have no price")
        talking += sorted({f"{name} on the host" for name, _ in units})
        kernels = [self._kernel(op) for op in everywhere if _is_kernel(op)]
        constants = self._all_constants(everywhere)
        return {
            "inputs": self._inputs,
            "kernels": kernels,
            "live_kernels": [self._name(op) for position, op in enumerate(flow.kernels) if position in alive],
            "custom_calls": dict(calls),
            "unexpected_calls": sorted(call for call in calls if call not in self._known or call in misfits),
            "host_callbacks": sorted(target for target in calls if "callback" in target.lower()) + talking,
            "unused_inputs": sorted(set(range(self._inputs)).difference(*output_inputs)),
            "output_inputs": output_inputs,
            "branches": [text for text in (self._decision(*item) for item in flow.decisions.items()) if text],
            "donated_inputs": self._donated(),
            "constants": constants[:_MOST_CONSTANTS],
            "constant_bytes": sum(fact["bytes"] for fact in constants),
            "dots": dict(Counter(_dot(op) for op in everywhere if op.name in _DOTS or _is_ragged_dot(op))),
        }

    def _inputs_in(self, origins: Any) -> list[int]:
        return sorted(self._kept[key] for key in origins if isinstance(key, int))

    def _decision(self, operation: Any, origins: Any) -> str:
        """A branch in words; empty for a loop whose length no input decides."""
        name = operation.name.removeprefix("stablehlo.")
        if origins:
            inputs = ", ".join(str(index) for index in self._inputs_in(origins))
            return f"{name} on {f'inputs {inputs}' if inputs else 'a kernel'}"
        return "" if name == "while" else f"{name} on constants"

    def _decode(self, operation: Any) -> Kernel | str:
        """The kernel, or why it cannot be read."""
        if operation not in self._decoded:
            try:
                self._decoded[operation] = decode(body_of(operation))
            except (Unreplayable, ir.MLIRError, ValueError, KeyError) as error:
                self._decoded[operation] = f"{type(error).__name__}: {error}"[:500]
        return self._decoded[operation]

    def _read_operands(self, operation: Any) -> list[int]:
        kernel = self._decode(operation)
        count = len(operation.operands)
        if isinstance(kernel, str):
            return list(range(count))
        unread = set(unread_operands(kernel, count)) - set(aliases(operation).values())
        return [index for index in range(count) if index not in unread]

    def _name(self, operation: Any) -> str:
        if "kernel_name" in operation.attributes:
            return str(ir.StringAttr(operation.attributes["kernel_name"]).value)
        kernel = self._decode(operation)
        return kernel if isinstance(kernel, str) else kernel.name

    def _kernel(self, operation: Any) -> dict[str, Any]:
        kernel = self._decode(operation)
        made: dict[str, Any] = {
            "name": self._name(operation),
            "where": _function_of(operation),
            "grid": [],
            "operands": [_short(operand.type) for operand in operation.operands],
            "results": [_short(result.type) for result in operation.results],
            "operations": {},
            "matmuls": [],
            "flops_exact": False,
            "unread_operands": [],
            "aliases": {str(output): operand for output, operand in aliases(operation).items()},
            "unknown_operations": [],
            "skeleton": "",
            "data_branches": [],
            "config": {},
            "unreadable": kernel if isinstance(kernel, str) else "",
        }
        if isinstance(kernel, str):
            return made
        counted = KernelCount(kernel)
        self._constants += counted.constants
        return made | {
            "grid": [-1 if extent == DYNAMIC else extent for extent in kernel.grid],
            "operations": dict(counted.operations),
            "matmuls": [
                {"lhs": lhs, "rhs": rhs, "precision": precision, "count": count, "flops": flops}
                for (lhs, rhs, precision), (count, flops) in counted.matmuls.items()
            ],
            "flops_exact": counted.exact,
            "unread_operands": unread_operands(kernel, len(operation.operands)),
            "unknown_operations": counted.unknown,
            "skeleton": skeleton(kernel),
            "data_branches": data_branches(kernel.function),
            "config": config_of(operation),
        }

    def _all_constants(self, everywhere: list[Any]) -> list[dict[str, Any]]:
        outside = [
            constant_fact(operation, _function_of(operation))
            for operation in everywhere
            if operation.name == "stablehlo.constant"
        ]
        found = self._constants + [fact for fact in outside if fact is not None]
        return sorted(found, key=lambda fact: -fact["bytes"])

    def _donated(self) -> list[int]:
        """Inputs that `main` marks as its to overwrite."""
        main = next(view.operation for view in self._module.body if _symbol(view.operation) == "main")
        if "arg_attrs" not in main.attributes:
            return []
        marks = [str(attribute) for attribute in ir.ArrayAttr(main.attributes["arg_attrs"])]
        return [
            self._kept[index]
            for index, mark in enumerate(marks)
            if "aliasing_output" in mark or "buffer_donor" in mark
        ]


def _calls_of(platform: str) -> frozenset[str]:
    """Calls that jax has promised to keep for a processor or a GPU: linear algebra, sorting, random bits.

    Any other takes a function by an address or an index that the program's author chose.
    """
    stable = frozenset(name for name in STABLE_CALLS if name.startswith("lapack_") == (platform == "cpu"))
    kernels = _GPU_KERNEL_CALLS if platform != "cpu" else frozenset()
    return stable - _COMPILER_CALLS - {KERNEL_CALL} | _REPLACED_CALLS | kernels


def _keeps_its_array(operation: Any, target: str) -> bool:
    """Whether a call for a layout gives the array that it takes; True for any other call."""
    types = [[value.type for value in values] for values in (operation.operands, operation.results)]
    return target != LAYOUT_CALL or (len(types[0]) == 1 and types[0] == types[1])


def _is_kernel(operation: Any) -> bool:
    return bool(operation.name == "stablehlo.custom_call" and call_target(operation) == KERNEL_CALL)


def _unit(operation: Any) -> str:
    """What an operation is marked to be computed by; `host` where no price is asked, and for all that is not clear."""
    name = "mhlo.frontend_attributes"
    marks = str(operation.attributes[name]) if name in operation.attributes else ""
    found = re.findall(r'\b_xla_compute_type = "(\w+)"', marks)
    if len(found) != marks.count("_xla_compute_type"):
        return "host"
    return str(found[0]) if found else _USUAL_UNIT


def _symbol(operation: Any) -> str:
    return str(ir.StringAttr(operation.attributes["sym_name"]).value) if "sym_name" in operation.attributes else ""


def _function_of(operation: Any) -> str:
    parent = operation.parent
    while parent is not None and parent.operation.name != "func.func":
        parent = parent.operation.parent
    return "" if parent is None else _symbol(parent.operation)


def _short(type_: Any) -> str:
    tensor = ir.RankedTensorType(type_)
    return f"{tensor.element_type}[{','.join(map(str, tensor.shape))}]"


def _is_ragged_dot(operation: Any) -> bool:
    return bool(operation.name == COMPOSITE and composite_name(operation) == RAGGED_DOT)


def _dot(operation: Any) -> str:
    if _is_ragged_dot(operation):
        left, right = (str(ir.RankedTensorType(operand.type).element_type) for operand in operation.operands[:2])
        return f"{left} x {right} {precision_of(operation)}"
    sides = [str(ir.RankedTensorType(operand.type).element_type) for operand in operation.operands]
    return f"{_DOTS[operation.name]}{' x '.join(sides)} {dot_precision(operation)}"
