"""Role `compiler`: the real TPU compiler behind a pipe, without a TPU.

It sees serialised programs (`jax.export`), never a variant's Python, so the place where cost is obtained runs no
code of the kernel's author. What it does not protect against: a program that makes the compiler itself abort,
hang or eat memory; the lab therefore keeps this process killable and starts it again.

Operands are not pinned to HBM. XLA may park one in on-chip memory and fetch it before the kernel; those copies
stand in the scheduled program and the lab charges them (`operands: neighbours charged`).

The parent sets the environment before the start (dump flags are read once, when libtpu is loaded) and collects
the dumps from this process' own folder.
"""

import importlib.metadata
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from jax import export
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding
from jaxlib.mlir import ir
from known_operands import known_operands  # type: ignore[import-not-found]
from vmem_account import KERNEL_CALL, Account, VmemExceeded, accounts, check  # type: ignore[import-not-found]

_MEMORY_FIELDS = (
    "argument_size_in_bytes",
    "output_size_in_bytes",
    "temp_size_in_bytes",
    "alias_size_in_bytes",
    "generated_code_size_in_bytes",
)
_VMEM_FULL = "in memory space vmem"
BUFFERS = "Buffers: "  # `lab.failures` looks for it
# A v4 is one device of two cores, as jax sees it on the chip; libtpu's topology of that name has the cores apart.
_FUSED = {"v4": {"chip_config_name": "megacore"}}
_devices: dict[str, Any] = {}
Path("dump").mkdir(exist_ok=True)  # where the dump flags point, below the working folder


def handle(header: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Answer one request: `{"op": "versions"}` or `{"op": "compile", "topology": ...}` with one blob.

    Raises:
        KeyError: the target is unknown.
        ValueError: the operation is unknown or the blob is missing.
        Exception: whatever the compiler raises; the worker's entry turns it into an error reply.
    """
    if header["op"] == "versions":
        return {"versions": versions()}, []
    if header["op"] == "compile" and len(blobs) == 1:
        return compile_export(bytearray(blobs[0]), header["topology"], header.get("given", [])), []
    raise ValueError(f"no such request: {header['op']!r} with {len(blobs)} blobs")


def compile_export(exported: bytearray, topology: str, given: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compile a serialised program for one generation; sizes in bytes, durations in seconds.

    `given` says which integer inputs are taken as known, each entry for programs with inputs of its types.
    """
    device = _device(topology)
    program = export.deserialize(exported)
    on_device = SingleDeviceSharding(device)
    arguments = [jax.ShapeDtypeStruct(aval.shape, aval.dtype, sharding=on_device) for aval in program.in_avals]
    started = time.monotonic()
    # keep_unused: the compiled program has the parameters of the function that was exported, in its order.
    # out_shardings: a program without parameters has nothing else that says where it runs.
    place: dict[str, Any] = {} if arguments else {"out_shardings": on_device}
    jitted = jax.jit(program.call, keep_unused=True, **place)
    lowered = jitted.trace(*arguments).lower(lowering_platforms=("tpu",))
    lowered_s = time.monotonic() - started
    compiled = _compiled(lowered, _accounts(program), topology)
    return {
        "seconds": {"lower": lowered_s, "compile": time.monotonic() - started - lowered_s},
        "memory": _memory(compiled.memory_analysis()),
        "cost": _numbers(compiled.cost_analysis()),
        "parameters": len(program.in_avals),
        "operands": "neighbours charged",
        "known": _known(program, given),
        "versions": versions(),
    }


def _accounts(program: Any) -> list[Account]:
    """What its kernels ask of vector memory; nothing where there is none or its program cannot be read."""
    if KERNEL_CALL.encode() not in program.mlir_module_serialized:
        return []
    found: list[Account] = accounts(program.mlir_module())
    return found


def _compiled(lowered: Any, kernels: list[Account], topology: str) -> Any:
    """The compiled program; what vector memory cannot hold is told at once, and with its buffers.

    Raises:
        VmemExceeded: a kernel's blocks do not fit, or the compiler ran out of vector memory.
        Exception: whatever else the compiler raises.
    """
    check(kernels, topology)
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if _VMEM_FULL not in str(error) or not kernels:
            raise
        named = " | ".join(str(account) for account in kernels)
        raise VmemExceeded(f"{error}\n{BUFFERS}{named}") from error


def _known(program: Any, given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Integer operands of kernels that follow from constants and from what is given about the inputs.

    Nothing where the CPU cannot work them out. The compiled program stays a function of all its inputs.
    """
    if KERNEL_CALL.encode() not in program.mlir_module_serialized:
        return []
    try:
        found: list[dict[str, Any]] = known_operands(program.mlir_module(), _inputs_of(program, given))
    except (ir.MLIRError, RuntimeError, ValueError, KeyError, IndexError, RecursionError):
        return []
    return found


def _inputs_of(program: Any, given: Sequence[dict[str, Any]]) -> dict[int, list[int]]:
    """What is given about the arguments of the module's `main`; it has no unused inputs."""
    types = [{"shape": list(aval.shape), "dtype": aval.dtype.name} for aval in program.in_avals]
    for entry in given:
        if list(entry["inputs"]) == types:
            kept = {place: argument for argument, place in enumerate(program.module_kept_var_idx)}
            return {kept[int(place)]: values for place, values in entry["values"].items() if int(place) in kept}
    return {}


def versions() -> dict[str, str | None]:
    """Versions of what decides the schedule; None for a distribution that is not installed."""
    return {name: _version(name) for name in ("jax", "jaxlib", "libtpu")}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device(topology: str) -> Any:
    if topology not in _devices:
        cores = _FUSED.get(topology.partition(":")[0], {})
        found = topologies.get_topology_desc(platform="tpu", topology_name=topology, **cores)
        _devices[topology] = found.devices[0]
    return _devices[topology]


def _memory(analysis: Any) -> dict[str, int]:
    return {name: int(getattr(analysis, name)) for name in _MEMORY_FIELDS if hasattr(analysis, name)}


def _numbers(analysis: Any) -> dict[str, float]:
    """XLA's own cost properties; for a Pallas call they hold only what its author declared."""
    return {str(key): float(value) for key, value in (analysis or {}).items() if isinstance(value, int | float)}
