"""The timer: runs serialised programs side by side on a device and says how long each call took. Trusted.

Only compiled programs run here, never a variant's Python, so nothing in this process can patch a clock, remember an
answer, answer late or count calls: a program is a pure function of its inputs. The outputs that were timed are kept
and can be asked for, so that the judge compares what it timed.
"""

import functools
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import arrays  # type: ignore[import-not-found]
import jax
from as_written import call_of  # type: ignore[import-not-found]

Reply = tuple[dict[str, Any], list[bytes]]
_PART_BYTES = 2**22
_calls: list[Any] = []
_inputs: list[list[Any]] = []
_outputs: dict[tuple[int, int], Any] = {}


def handle(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Answer `run`, `device`, `load`, `inputs`, `compile`, `warm`, `pairs`, `calls` or `outputs`."""
    answers = {
        "run": _run,
        "device": _device,
        "load": _load,
        "inputs": _add_inputs,
        "compile": _compile,
        "warm": _warm,
        "pairs": _pairs,
        "calls": _run_calls,
        "outputs": _give_outputs,
    }
    return answers[header["op"]](header, blobs)


def _run(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Run a program once on inputs that come with it, with its operations `apart` if asked; nothing is timed."""
    call = _compiled(bytes(blobs[0]), header.get("apart", False))
    specs, data = arrays.pack(jax.block_until_ready(call(*arrays.unpack(header["inputs"], blobs[1:]))))
    return {"outputs": specs}, data


@functools.lru_cache(maxsize=4)
def _compiled(program: bytes, apart: bool) -> Any:
    """The last programs stay compiled: the variant's and the baseline's are asked for in turn, on many inputs."""
    return call_of(program, apart=apart)


def _device(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """What the programs will run on: the device and its host, which need not be the judge's."""
    del header, blobs
    device = jax.devices()[0]
    facts = {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()}
    machine = {"host": platform.node(), "processor": _processor(), "cores": os.cpu_count()}
    return {**facts, **machine, "jax": jax.__version__, "jaxlib": version("jaxlib")}, []


def _processor() -> str:
    """The processor's name, where the kernel tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _load(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Take programs; they are compiled by the first call."""
    del header
    _calls.extend(call_of(bytes(blob)) for blob in blobs)
    return {"programs": len(_calls)}, []


def _add_inputs(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Put one set of inputs on the device."""
    made = [jax.device_put(array) for array in arrays.unpack(header["inputs"], blobs)]
    _inputs.append(jax.block_until_ready(made))
    return {"sets": len(_inputs)}, []


def _compile(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Compile one program before its first call, so that what the call takes is the call's."""
    del blobs
    program = header["program"]
    _calls[program] = _calls[program].lower(*_inputs[0]).compile()
    return {}, []


def _warm(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """After a program's first call: compile what takes parts of its outputs, call it on more sets, time a call."""
    del blobs
    program = header["program"]
    for output in jax.tree.leaves(_outputs[program, 0]):
        jax.block_until_ready(_part(output, 0.0))  # compiled now, not before somebody's clock
    for index in header["sets"]:
        _outputs[program, index] = jax.block_until_ready(_calls[program](*_inputs[index]))
    return {"seconds": _seconds(program, 0, 1) if header["timed"] else None}, []


def _seconds(program: int, index: int, repeats: int) -> float:
    """Seconds a call, over `repeats` calls that are all waited for."""
    call, inputs = _calls[program], _inputs[index]
    started = time.perf_counter()
    for _ in range(repeats):
        output = jax.block_until_ready(call(*inputs))
    taken = time.perf_counter() - started
    _outputs[program, index] = output
    return taken / repeats


def _pairs(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Time programs 0 and 1 one after the other, in the order and on the inputs that the judge drew."""
    del blobs
    samples = []
    for first, index in header["order"]:
        pair = [0.0, 0.0]
        for program in (first, 1 - first):
            pair[program] = _seconds(program, index, header["repeats"])
        samples.append(pair)
    return {"seconds": samples}, []


def _run_calls(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Call a program once on each of the sets that the judge drew; the judge's own clock runs meanwhile."""
    del blobs
    return {"seconds": sum(_seconds(header["program"], index, 1) for index in header["order"])}, []


def _give_outputs(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """The outputs of the last timed call of a program on a set; with `at`, from 0 to 1, a part of each from there."""
    del blobs
    outputs = _outputs[header["program"], header["set"]]
    if "at" in header:
        outputs = [_part(each, header["at"]) for each in jax.tree.leaves(outputs)]
    specs, data = arrays.pack(outputs)
    return {"outputs": specs}, data


def _part(output: Any, at: float) -> Any:
    """The whole of a small output, consecutive rows of a large one."""
    if output.nbytes <= _PART_BYTES or output.ndim == 0:
        return output
    rows = max(1, output.shape[0] * _PART_BYTES // output.nbytes)
    return jax.lax.dynamic_slice_in_dim(output, int(at * (output.shape[0] - rows)), rows)
