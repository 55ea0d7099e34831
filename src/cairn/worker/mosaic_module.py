"""Reads a serialised Mosaic module, the body of a `tpu_custom_call`: its function, grid and windows."""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

import jax._src.interpreters.mlir as jax_mlir
from jaxlib.mlir import ir
from jaxlib.mlir.passmanager import PassManager
from jaxlib.mosaic.python import tpu
from mosaic_build import integers  # type: ignore[import-not-found]
from mosaic_memory import is_semaphore, memory_space, memref_parts  # type: ignore[import-not-found]
from mosaic_types import Unreplayable  # type: ignore[import-not-found]

DYNAMIC = -(2**63)
_KNOWN_WINDOW = {"window_bounds", "transform_indices", "pipeline_mode", "window_kind", "revisit_mode"}


@dataclass(frozen=True)
class Window:
    """How a grid step sees an operand or result: `bounds` None means the whole array, not copied."""

    bounds: tuple[int, ...] | None
    transform: str
    by_element: bool
    pad_low: tuple[int, ...]


@dataclass(frozen=True)
class Kernel:
    """A decoded module. `module` keeps the MLIR alive that `function` belongs to.

    grid: extents; DYNAMIC where an operand gives it. Block arguments of the function are the grid's indices, the
    `prefetched` scalars, one buffer per window, then scratch.
    """

    module: Any
    function: Any
    name: str
    grid: tuple[int, ...]
    semantics: tuple[str, ...]
    prefetched: int
    windows: tuple[Window, ...]
    scratch_types: tuple[Any, ...]
    window_types: tuple[Any, ...]
    prefetch_types: tuple[Any, ...]

    @property
    def dynamic_bounds(self) -> int:
        return self.grid.count(DYNAMIC)

    def transform_function(self, name: str) -> Any:
        return function_named(self.module, name)


def new_context() -> Any:
    """A context that knows the dialects of both StableHLO and Mosaic."""
    context = jax_mlir.make_ir_context()
    context.allow_unregistered_dialects = True
    tpu.register_dialect(context)
    return context


def body_of(operation: Any) -> bytes:
    """The Mosaic module in a custom call's configuration."""
    config = _config(operation)
    if config.get("device_type"):
        raise Unreplayable(f"a kernel for {config['device_type']}")
    return base64.b64decode(config["custom_call_config"]["body"])


def config_of(operation: Any) -> dict[str, Any]:
    """What else stands in a custom call's configuration: flags for the compiler, limits, claims about cost."""
    config = _config(operation)
    inner = {key: value for key, value in config.pop("custom_call_config", {}).items() if key != "body"}
    return {**config, **inner}


def _config(operation: Any) -> dict[str, Any]:
    text = ir.StringAttr(operation.attributes["backend_config"]).value
    config: dict[str, Any] = json.loads(text, object_pairs_hook=_without_repetition)
    return config


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """One meaning only: of two values under one name the compiler might take the other."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise Unreplayable("a kernel's configuration that says one thing twice")
    return dict(pairs)


def decode(body: bytes) -> Kernel:
    """Parse a module. Call it inside a context of `new_context`.

    Raises:
        Unreplayable: it has another form than Pallas's.
    """
    module = ir.Module.parse(body)
    PassManager.parse("builtin.module(mosaic-serde{serialize=false})").run(module.operation)
    functions = [view.operation for view in module.body if _has_grid(view.operation)]
    if len(functions) != 1:
        raise Unreplayable(f"a module with {len(functions)} functions that have a grid")
    kernel = _kernel(module, functions[0])
    expected = {kernel.name, *(window.transform for window in kernel.windows)}
    others = {str(view.operation.attributes["sym_name"]) for view in module.body} - {f'"{n}"' for n in expected}
    if others:  # the compiler might take one of them for the kernel
        raise Unreplayable(f"a module with {', '.join(sorted(others))} that no window uses")
    return kernel


def _has_grid(operation: Any) -> bool:
    return operation.name == "func.func" and (
        "window_params" in operation.attributes or "scalar_prefetch" in operation.attributes
    )


def _kernel(module: Any, function: Any) -> Kernel:
    attributes = function.attributes
    grid = tuple(integers(attributes["iteration_bounds"])) if "iteration_bounds" in attributes else ()
    prefetched, scratch = _number(attributes, "scalar_prefetch"), _number(attributes, "scratch_operands")
    types = [argument.type for argument in function.regions[0].blocks[0].arguments]
    buffers = types[len(grid) + prefetched :]
    count = len(buffers) - scratch
    windows = [_window(item) for item in attributes["window_params"]] if "window_params" in attributes else []
    if not windows:
        windows = [Window(None, "", False, ())] * count
    if len(windows) != count:
        raise Unreplayable(f"{len(windows)} windows for {count} buffers")
    core = str(attributes["tpu.core_type"]) if "tpu.core_type" in attributes else "core_type<tc>"
    if "<tc>" not in core:
        raise Unreplayable(core)
    return Kernel(
        module,
        function,
        ir.StringAttr(attributes["sym_name"]).value,
        grid,
        _semantics(attributes, len(grid)),
        prefetched,
        tuple(windows),
        tuple(buffers[count:]),
        tuple(buffers[:count]),
        tuple(types[len(grid) : len(grid) + prefetched]),
    )


def _number(attributes: Any, name: str) -> int:
    return int(ir.IntegerAttr(attributes[name]).value) if name in attributes else 0


def _semantics(attributes: Any, rank: int) -> tuple[str, ...]:
    if "dimension_semantics" not in attributes:
        return ("arbitrary",) * rank
    return tuple(re.findall(r"<(\w+)>", str(attributes["dimension_semantics"])))


def _window(attribute: Any) -> Window:
    params = ir.DictAttr(attribute)
    names = {params[index].name for index in range(len(params))}
    if not names <= _KNOWN_WINDOW:
        raise Unreplayable(f"a window with {', '.join(sorted(names - _KNOWN_WINDOW))}")
    if "revisit_mode" in names and "any" in str(params["revisit_mode"]):
        raise Unreplayable("a window that may be visited again later")
    if "window_bounds" not in names:
        return Window(None, "", False, ())
    bounds = tuple(integers(params["window_bounds"]))
    transform = ir.FlatSymbolRefAttr(params["transform_indices"]).value if "transform_indices" in names else ""
    kind = (
        re.search(r"element_window<\[([\d, ]*)\]", str(params["window_kind"])) if "window_kind" in names else None
    )
    pad = tuple(int(number) for number in kind.group(1).split(",")) if kind else (0,) * len(bounds)
    return Window(bounds, transform, kind is not None, pad)


def function_named(module: Any, name: str) -> Any:
    for view in module.body:
        operation = view.operation
        if operation.name == "func.func" and ir.StringAttr(operation.attributes["sym_name"]).value == name:
            return operation
    raise Unreplayable(f"no function {name}")


def describe_type(type_: Any) -> str:
    """A buffer's type for people: `vmem f32[8,128]`."""
    shape, element = memref_parts(type_)
    if is_semaphore(type_):
        return str(element)
    return f"{memory_space(type_)} {element}[{','.join(map(str, shape))}]"
