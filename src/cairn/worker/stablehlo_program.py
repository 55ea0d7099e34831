"""An exported program on the CPU: XLA runs what is round the kernels, NumPy the kernels themselves.

Every `tpu_custom_call` becomes a call back into this process that runs the decoded Mosaic module; loops, branches
and functions round them stay XLA's. Before anything runs, every operation is looked at: a custom call that is not
on the list would hand an address of the author's choosing to native code, and is refused.

A float32 dot at default precision is one bfloat16 pass on the chip; its operands are rounded here too. `HIGH` and
`HIGHEST` stay float32.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax import export
from jax._src import compiler, xla_bridge
from jax._src.interpreters.mlir import dtype_to_ir_type
from jaxlib import xla_client
from jaxlib.mlir import ir
from mosaic_build import integers  # type: ignore[import-not-found]
from mosaic_module import body_of, decode, new_context  # type: ignore[import-not-found]
from mosaic_run import KernelProgram, Sampling, share_of_numbers  # type: ignore[import-not-found]
from mosaic_types import (  # type: ignore[import-not-found]
    MISTAKES,
    NUMBERLESS,
    AssertedFalse,
    OutOfBounds,
    Stuck,
    Unreplayable,
    begin_run,
)
from stablehlo_composites import COMPOSITE, by_numpy, composite_name  # type: ignore[import-not-found]
from stablehlo_steering import Steering  # type: ignore[import-not-found]

jax.config.update("jax_enable_x64", True)  # inputs keep the types that the program was lowered with

KERNEL_CALL = "tpu_custom_call"
LAYOUT_CALL = "LayoutConstraint"  # how an array shall lie in memory; its values stay
HARMLESS_CALLS = {
    *("Sharding", LAYOUT_CALL),
    *("mhlo.topk", "mhlo.erf", "mhlo.tan", "mhlo.asin", "mhlo.acos", "mhlo.atanh"),
}
_REFUSED = {
    f"stablehlo.{name}"
    for name in (
        *("infeed", "outfeed", "send", "recv", "create_token", "after_all", "async_start", "async_done"),
        *(
            "all_gather",
            "all_reduce",
            "all_to_all",
            "collective_broadcast",
            "collective_permute",
            "reduce_scatter",
        ),
        *("partition_id", "replica_id", "rng", "rng_bit_generator"),
    )
}
_DOTS = {"stablehlo.dot_general", "stablehlo.dot", "stablehlo.convolution"}
_LEAST_COVERED = 0.99  # of what the chosen steps wrote has to arrive in every output, or nobody saw what they did
_ALGORITHM = "algorithm"
# types of the operands, type of the sum, passes: what they are worth in the words of a precision
_ALGORITHMS = {
    ("bf16", "bf16", "f32", "1"): "DEFAULT",
    ("bf16", "bf16", "f32", "3"): "HIGH",
    ("bf16", "bf16", "f32", "6"): "HIGHEST",
    ("bf16", "bf16", "f32", "9"): "HIGHEST",
    ("f32", "f32", "f32", "1"): "HIGHEST",
}
_FINDINGS = (Unreplayable, OutOfBounds, Stuck, AssertedFalse)


class ReplayProgram:
    """A program ready to run; building it decodes the kernels and compiles the rest for the CPU.

    `kept`: what `executable` gave for this program on a processor like this one; it spares the compiling.
    """

    def __init__(self, exported: bytes, kept: bytes = b"") -> None:
        self._exported = export.deserialize(bytearray(exported))
        check_form(self._exported)
        self._failure: Exception | None = None
        self._runs = 0
        self._callbacks: list[Callable[..., Any]] = []
        self._kernels: list[KernelProgram] = []
        with new_context(), ir.Location.unknown():
            text = self._exported.mlir_module()
            module = ir.Module.parse(text)
            check_types(module, self._exported)
            everywhere = list(operations(module.operation))
            self._steering = Steering(text, everywhere, self._exported.module_kept_var_idx)
            for operation in everywhere:
                self._prepare(operation)
            keep_inputs(module)
            loaded = _loaded(kept) if kept and not self._callbacks else None
            self._executable = loaded or _compile(module, self._callbacks)

    def executable(self) -> bytes:
        """What XLA made of it, to be kept; empty for a program with kernels, which call back into this process."""
        if self._callbacks:
            return b""
        try:
            return bytes(self._executable.serialize())
        except jax.errors.JaxRuntimeError:  # this version or program cannot
            return b""

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Outputs for inputs of exactly the exported shapes and types.

        Raises:
            Unreplayable: the program cannot be followed.
            ValueError: the inputs are not the program's.
        """
        wanted = [(tuple(aval.shape), np.dtype(aval.dtype)) for aval in self._exported.in_avals]
        if wanted != [(array.shape, array.dtype) for array in inputs]:
            raise ValueError(f"the program takes {wanted}")
        self._steering.begin(inputs)
        device = jax.devices("cpu")[0]
        kept = [jax.device_put(inputs[index], device) for index in self._exported.module_kept_var_idx]
        self._failure = None
        sampled = any(kernel.sampling is not None for kernel in self._kernels)
        begin_run(NUMBERLESS if sampled else self._runs)  # a kernel that is sampled may choose otherwise
        self._runs += not sampled
        try:
            outputs = [np.asarray(output) for output in self._executable.execute(kept)]
        except jax.errors.JaxRuntimeError:
            if self._failure is not None:
                raise self._failure from None
            raise
        return outputs

    def run_sample(
        self, inputs: Sequence[Any], cells: int, seed: int, masks: Sequence[Any] | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Outputs of some steps of the kernel's parallel dimensions, and which elements of them are covered.

        `masks` say that, where it is known from the text; else a second pass shows what depends on nothing but the
        chosen steps. A program that hides what they did (another step's NaN in every element) is run in full, and so
        is one without a kernel, with several, or with one that cannot be sampled.
        """
        if len(self._kernels) == 1 and self._kernels[0].sampleable:
            kernel = self._kernels[0]
            kernel.calls = 0
            try:
                found = self._sampled(kernel, inputs, Sampling(cells, seed), masks)
            finally:
                kernel.sampling = None
            if found is not None:
                return found
        outputs = self.run(inputs)
        return outputs, [np.ones(output.shape, np.bool_) for output in outputs]

    def _sampled(
        self, kernel: KernelProgram, inputs: Sequence[Any], sampling: Sampling, masks: Sequence[Any] | None
    ) -> tuple[list[Any], list[Any]] | None:
        """What a sample gives; None where it shows too little."""
        kernel.sampling = sampling
        outputs = self.run(inputs)
        if kernel.doubtful:
            return None
        if masks is not None:
            return outputs, list(masks)
        kernel.sampling = replace(sampling, dry=True)
        if kernel.calls == 1 and all(output.dtype.kind not in "biu" for output in outputs):
            dry = self.run(inputs)
            if min(map(share_of_numbers, dry), default=0.0) >= _LEAST_COVERED * kernel.dry_share:
                return outputs, [~np.isnan(output) for output in dry]
        return None

    def _prepare(self, operation: Any) -> None:
        if operation.name in _REFUSED:
            raise Unreplayable(operation.name)
        if operation.name in _DOTS:
            round_operands(operation)
            widen_operands(operation)
        if operation.name == COMPOSITE:
            if (call := by_numpy(operation)) is not None:
                self._replace(operation, self._guarded(composite_name(operation), call, _result_types(operation)))
        elif operation.name == "stablehlo.custom_call":
            target = call_target(operation)
            if target == KERNEL_CALL:
                self._call_kernel(operation)
            elif target not in HARMLESS_CALLS:
                raise Unreplayable(f"custom call {target}")

    def _call_kernel(self, operation: Any) -> None:
        """Replace a kernel's custom call by a call of this process."""
        check_layouts(operation)
        kernel = decode(body_of(operation))
        inputs = len(operation.operands) - kernel.dynamic_bounds - kernel.prefetched
        program = KernelProgram(kernel, inputs, aliases(operation))
        types = _result_types(operation)
        self._kernels.append(program)
        program.output_shapes = [tuple(type_.shape) for type_ in types]
        self._replace(operation, self._guarded(kernel.name, self._steering.checked(operation, program), types))

    def _replace(self, operation: Any, call_back: Callable[..., Any]) -> None:
        """Put a call of a function of this process in the place of an operation."""
        self._callbacks.append(call_back)
        attributes = {
            "call_target_name": ir.StringAttr.get("xla_ffi_python_cpu_callback"),
            "has_side_effect": ir.BoolAttr.get(False),
            "api_version": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), 4),
            "backend_config": ir.DictAttr.get(
                {"index": ir.IntegerAttr.get(ir.IntegerType.get_unsigned(64), len(self._callbacks) - 1)}
            ),
        }
        for name in ("operand_layouts", "result_layouts"):
            if name in operation.attributes:
                attributes[name] = operation.attributes[name]
        call = ir.Operation.create(
            "stablehlo.custom_call",
            results=[result.type for result in operation.results],
            operands=list(operation.operands),
            attributes=attributes,
            ip=ir.InsertionPoint(operation),
        )
        for old, new in zip(operation.results, call.results, strict=True):
            old.replace_all_uses_with(new)
        operation.erase()

    def _guarded(self, name: str, program: Callable[..., Any], types: list[Any]) -> Callable[..., Any]:
        """Keep a kernel's own error, which XLA would turn into text."""
        dtypes = [_boundary_dtype(type_.element_type) for type_ in types]

        def call(*operands: Any) -> tuple[Any, ...]:
            try:
                results = program(*[np.asarray(operand) for operand in operands])
            except _FINDINGS as error:
                self._failure = error
                raise
            except MISTAKES as error:
                self._failure = Unreplayable(f"{name}: {type(error).__name__}: {error}")
                raise
            return tuple(_as_result(array, dtype) for array, dtype in zip(results, dtypes, strict=True))

        return call


def check_form(exported: Any) -> None:
    """Refuse what needs more than one device, more than one platform, or an order of effects."""
    if exported.nr_devices != 1 or tuple(exported.platforms) != ("tpu",):
        raise Unreplayable(f"a program for {exported.nr_devices} devices, {', '.join(exported.platforms)}")
    if exported.ordered_effects or exported.unordered_effects:
        raise Unreplayable("a program with effects")


def check_types(module: Any, exported: Any) -> None:
    """Refuse a program whose header names other arrays than its text: it is compiled by both."""
    main = next(view.operation for view in module.body if str(view.operation.attributes["sym_name"]) == '"main"')
    function = ir.FunctionType(ir.TypeAttr(main.attributes["function_type"]).value)
    kept = [exported.in_avals[index] for index in exported.module_kept_var_idx]
    for avals, types in ((kept, function.inputs), (exported.out_avals, function.results)):
        said = [(tuple(aval.shape), str(dtype_to_ir_type(aval.dtype))) for aval in avals]
        tensors = [ir.RankedTensorType(type_) for type_ in types]
        if said != [(tuple(tensor.shape), str(tensor.element_type)) for tensor in tensors]:
            raise Unreplayable("a program whose header and text name other arrays")


def keep_inputs(module: Any) -> None:
    """Forget donations: nothing here may write where the inputs lie."""
    for view in module.body:
        if view.operation.name == "func.func" and "arg_attrs" in view.operation.attributes:
            del view.operation.attributes["arg_attrs"]


def check_layouts(operation: Any) -> None:
    """A kernel sees memory; only with the usual order of dimensions is that the array."""
    for name in ("operand_layouts", "result_layouts"):
        if name not in operation.attributes:
            continue
        for layout in ir.ArrayAttr(operation.attributes[name]):
            order = integers(layout)
            if order != sorted(order, reverse=True):
                raise Unreplayable(f"a kernel with {name} {order}")


def operations(operation: Any) -> Iterator[Any]:
    """Every operation inside, outermost first."""
    for region in operation.regions:
        for block in region:
            for view in block:
                yield view.operation
                yield from operations(view.operation)


def call_target(operation: Any) -> str:
    return str(ir.StringAttr(operation.attributes["call_target_name"]).value)


def aliases(operation: Any) -> dict[int, int]:
    """From an output's index to the operand whose memory it takes over."""
    if "output_operand_aliases" not in operation.attributes:
        return {}
    text = str(operation.attributes["output_operand_aliases"])
    pairs = re.findall(r"output_tuple_indices = \[(\d*)\],\s*operand_index = (\d+)", text)
    return {int(output or 0): int(operand) for output, operand in pairs}


def dot_precision(operation: Any) -> str:
    """`DEFAULT`, `HIGH` or `HIGHEST`; the lower one where the operands differ. An algorithm goes before them."""
    if _ALGORITHM in operation.attributes:
        text = str(operation.attributes[_ALGORITHM])
        named = re.findall(r"(?:precision|accumulation)_type = (\w+)|primitive_operations = (\d+)", text)
        known = _ALGORITHMS.get(tuple(type_ or count for type_, count in named))
        if known is None:
            raise Unreplayable(f"a product by {text}")
        return known
    if "precision_config" not in operation.attributes:
        return "DEFAULT"
    named = re.findall(r"HIGHEST|HIGH|DEFAULT", str(operation.attributes["precision_config"]))
    return min(named, key=["DEFAULT", "HIGH", "HIGHEST"].index) if named else "DEFAULT"


def round_operands(operation: Any) -> None:
    """Put the rounding of the matrix unit before a float32 dot at default precision."""
    precision = dot_precision(operation)
    if _ALGORITHM in operation.attributes:  # XLA for the CPU knows others than the chip's
        del operation.attributes[_ALGORITHM]
    if precision != "DEFAULT":
        return
    i32 = ir.IntegerType.get_signless(32)
    for index, operand in enumerate(operation.operands):
        if str(ir.RankedTensorType(operand.type).element_type) != "f32":
            continue
        rounded = ir.Operation.create(
            "stablehlo.reduce_precision",
            results=[operand.type],
            operands=[operand],
            attributes={"exponent_bits": ir.IntegerAttr.get(i32, 8), "mantissa_bits": ir.IntegerAttr.get(i32, 7)},
            ip=ir.InsertionPoint(operation),
        )
        operation.operands[index] = rounded.result


def widen_operands(operation: Any) -> None:
    """Multiply narrow floats as float32 where float32 is asked for: the same products, and XLA's CPU knows them all."""
    result = operation.results[0].type
    if str(ir.RankedTensorType(result).element_type) != "f32":
        return
    for index, operand in enumerate(operation.operands):
        narrow = ir.RankedTensorType(operand.type)
        if str(narrow.element_type) in ("bf16", "f16"):
            type_ = ir.RankedTensorType.get(narrow.shape, ir.F32Type.get())
            here = ir.InsertionPoint(operation)
            wide = ir.Operation.create("stablehlo.convert", results=[type_], operands=[operand], ip=here)
            operation.operands[index] = wide.result


def _compile(module: Any, callbacks: list[Callable[..., Any]]) -> Any:
    backend = xla_bridge.get_backend("cpu")
    try:
        return compiler.backend_compile_and_load(backend, module, _devices(), _options(), callbacks)
    except jax.errors.JaxRuntimeError as error:
        raise Unreplayable(f"XLA for the CPU refuses it: {str(error)[:500]}") from error


def _loaded(kept: bytes) -> Any:
    """An executable that was kept; None when it does not fit this version any more."""
    try:
        return xla_bridge.get_backend("cpu").deserialize_executable(kept, _devices(), _options())
    except jax.errors.JaxRuntimeError:
        return None


def _devices() -> Any:
    return xla_client.DeviceList(tuple(jax.devices("cpu")[:1]))


def _options() -> Any:
    return compiler.get_compile_options(
        num_replicas=1, num_partitions=1, env_options_overrides={"xla_allow_excess_precision": "False"}
    )


_BOUNDARY = {"i1": "bool", "ui8": "uint8", "ui16": "uint16", "ui32": "uint32", "bf16": "bfloat16"}
_PLAIN = {"i8": "int8", "i16": "int16", "i32": "int32", "f16": "float16", "f32": "float32"}
_SMALL = {"f8E4M3FN": "float8_e4m3fn", "f8E5M2": "float8_e5m2"}


def _result_types(operation: Any) -> list[Any]:
    return [ir.RankedTensorType(result.type) for result in operation.results]


def _boundary_dtype(element: Any) -> Any:
    name = {**_BOUNDARY, **_PLAIN, **_SMALL}.get(str(element))
    if name is None:
        raise Unreplayable(f"a kernel's result of {element}")
    return np.dtype(name)


def _as_result(array: Any, dtype: Any) -> Any:
    if array.dtype == dtype:
        return array
    return array != 0 if dtype == np.bool_ else array.view(dtype)
