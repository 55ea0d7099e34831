"""Role `recorder`: runs a serialised program under the profiler and gives the recording back. Trusted.

As in the timer, only a compiled program runs here, never a variant's Python. Each call is one annotated step.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import arrays  # type: ignore[import-not-found]
import jax
from as_written import call_of  # type: ignore[import-not-found]

Reply = tuple[dict[str, Any], list[bytes]]


def handle(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Answer `record`: warm up, then `steps` calls on the inputs; files of the recording with their names."""
    call = call_of(bytes(blobs[0]))
    inputs = [jax.device_put(array) for array in arrays.unpack(header["inputs"], blobs[1:])]
    jax.block_until_ready(call(*inputs))
    folder = Path(tempfile.mkdtemp(prefix="recording-"))
    with jax.profiler.trace(str(folder)):
        for step in range(header["steps"]):
            with jax.profiler.StepTraceAnnotation("step", step_num=step):
                jax.block_until_ready(call(*inputs))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    device = jax.devices()[0]
    found = {"files": [path.name for path in files], "kind": device.device_kind, "jax": jax.__version__}
    return found, [path.read_bytes() for path in files]
