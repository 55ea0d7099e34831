"""The untrusted side: load a variant and lower it; run it in the interpreter only when nothing better can.

Nothing here decides anything. The judge does not believe this process beyond "these are the bytes it sent": the
outputs are compared elsewhere, and cost comes from compiling the exported program elsewhere.
"""

import dataclasses
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import arrays  # type: ignore[import-not-found]
import jax
import lost_writes  # type: ignore[import-not-found]
import numpy as np
import seen_as  # type: ignore[import-not-found]

Reply = tuple[dict[str, Any], list[bytes]]
_state: dict[str, Any] = {}
# how Pallas kernels appear in a lowered program: Mosaic on TPU and GPU, Triton on GPU
_KERNEL_CALLS = ("tpu_custom_call", "mosaic_gpu_v2", "__gpu$xla.gpu.triton")
# what jax does not promise to read in years to come, and need not here: the same jax reads it in a moment
_UNPROMISED_CALLS = (*_KERNEL_CALLS, "LayoutConstraint")
_TOLD_CHARS = 4_000
_CALLBACKS = re.compile(r"\b(pure_callback|io_callback|debug_callback|debug_print)\[")


class HostCallback(Exception):
    """The program calls back into Python, by the primitives that the message names."""


class NotInterpreted(Exception):
    """Pallas' interpreter would carry out another program than the one that is written here."""


def handle(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Answer `load`, `export` or `call`."""
    return {"load": _load, "export": _export, "call": _call}[header["op"]](header, blobs)


def _load(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Import a variant from its source text, placed in this worker's private folder, and build its Config."""
    if header.get("device"):
        seen_as.show_device(header["device"]["kind"], header["device"]["cores"])
    else:
        seen_as.answer_for_processor()
    name = f"variant_{header['name']}"  # not the name of something that is imported later
    path = Path.cwd() / "variant" / f"{header['name']}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(blobs[0])
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    config_type = getattr(module, "Config", None)
    if not dataclasses.is_dataclass(config_type):
        raise AttributeError("no dataclass `Config`: a variant defines one, frozen, and `run(*inputs, config)`")
    if not callable(getattr(module, "run", None)):
        raise AttributeError("no function `run`: a variant defines `run(*inputs, config)`")
    make_config: Any = config_type
    config = make_config(**header.get("config", {}))
    _state["source"] = blobs[0]
    _state["run"] = module.run
    _state["config"] = config
    _state["jitted"] = jax.jit(_bound(module.run, config))
    return {"config": {field.name: _told(getattr(config, field.name)) for field in dataclasses.fields(config)}}, []


def _told(value: Any) -> str:
    """A field's value as text, cut where a table would not fit into a reply."""
    return repr(value)[:_TOLD_CHARS]


def _bound(run: Callable[..., Any], config: Any) -> Callable[..., Any]:
    """Fix the config and make the answer a tuple of arrays."""

    def kernel(*inputs: Any) -> tuple[Any, ...]:
        outputs = run(*inputs, config=config)
        return tuple(outputs) if isinstance(outputs, tuple) else (outputs,)

    return kernel


def _export(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Lower for a platform on abstract inputs and serialise the program.

    On the CPU a Pallas kernel becomes what the fast interpreter makes of it: correct, and no kernel any more.

    Without `locations` no file name or line is in it, so that equal programs are equal bytes wherever the source
    lies and whatever its comments; with them the compiler can name the kernel's line in an error.
    """
    del blobs
    from jax import export

    jax.config.update("jax_traceback_in_locations_limit", 10 if header["locations"] else 0)
    abstract = [jax.ShapeDtypeStruct(tuple(s["shape"]), np.dtype(s["dtype"])) for s in header["inputs"]]
    platform = header["platform"]
    # a fresh function: the jitted one may be cached with calls lowered for the interpreter
    lower = export.export(
        jax.jit(_bound(_state["run"], _state["config"])),
        platforms=[platform],
        disabled_checks=[export.DisabledSafetyCheck.custom_call(name) for name in _UNPROMISED_CALLS],
    )
    device = header.get("device")
    with ExitStack() as around:
        if platform == "cpu":
            around.enter_context(interpreted("hlo"))
            _refuse_lost_writes(abstract)
        if device:
            around.enter_context(seen_as.seen_as(device["kind"], device["cores"]))
        program, serialised = _lowered(lower, abstract)
    kinds = [aval.dtype for aval in program.out_avals]
    strange = [str(kind) for kind in kinds if jax.numpy.issubdtype(kind, jax.dtypes.extended)]
    if strange:
        raise TypeError(f"outputs must be arrays of numbers, got {', '.join(strange)}")
    weak = [index for index, aval in enumerate(program.out_avals) if aval.weak_type]
    outputs = [{"dtype": aval.dtype.name, "shape": list(aval.shape)} for aval in program.out_avals]
    return {"outputs": outputs, "weak_outputs": weak}, [serialised]


def _refuse_lost_writes(abstract: Sequence[Any]) -> None:
    if any(word in _state["source"] for word in lost_writes.WORDS):
        traced = jax.make_jaxpr(_bound(_state["run"], _state["config"]))(*abstract)
        if lost := lost_writes.lost_write(traced.jaxpr):
            raise NotInterpreted(lost)


def _lowered(lower: Callable[..., Any], abstract: Sequence[Any]) -> tuple[Any, bytes]:
    """The exported program and its bytes; what jax says of callbacks is about its own state, so they are looked for."""
    try:
        program = lower(*abstract)
        return program, bytes(program.serialize())
    except (NotImplementedError, ValueError) as error:
        text = str(jax.make_jaxpr(_bound(_state["run"], _state["config"]))(*abstract))
        if found := sorted(set(_CALLBACKS.findall(text))):
            raise HostCallback(", ".join(found)) from error
        raise


def _call(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Run on concrete inputs; Pallas kernels go through the interpreter, whatever the variant asked for."""
    inputs = [jax.numpy.asarray(array) for array in arrays.unpack(header["inputs"], blobs)]
    with interpreted(header["interpreter"]):
        outputs = jax.block_until_ready(_state["jitted"](*inputs))
    strange = [type(output).__name__ for output in outputs if not isinstance(output, jax.Array)]
    if strange:
        raise TypeError(f"outputs must be jax arrays, got {', '.join(strange)}")
    specs, output_blobs = arrays.pack(outputs)
    return {"outputs": specs}, output_blobs


def interpreted(interpreter: str) -> AbstractContextManager[None]:
    """Send every `pallas_call` inside to an interpreter, by jax's public switch.

    `hlo` turns the kernel into plain XLA operations: fast, but it knows no DMA or semaphores. `tpu` simulates
    memories, copies and semaphores event by event: slow, and complete.
    """
    from jax.experimental.pallas import tpu as pltpu

    parameters: Any = True if interpreter == "hlo" else pltpu.InterpretParams()
    switched: AbstractContextManager[None] = pltpu.force_tpu_interpret_mode(parameters)
    return switched
