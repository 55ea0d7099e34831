"""Try a new variant once, locked in like every variant: does it load alone, does it lower, what does it give back?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.adopt.specification import Array, axes_of, told_apart
from cairn.errors import CairnError
from cairn.problem import Shape
from cairn.worker_process import WorkerFailure, WorkerProcess

Specs = list[dict[str, Any]]
_LOAD_S, _EXPORT_S = 60.0, 120.0


@dataclass(frozen=True)
class Probe:
    """What came of it: the outputs found, or why there are none, as one line."""

    outputs: tuple[Array, ...]
    trouble: str = ""


def probe(
    python: Path, name: str, text: str, inputs: Sequence[Array], shapes: Sequence[Shape], platform: str
) -> Probe:
    """Try a variant whose inputs the user has named; at more shapes, if it will, where sizes are alike."""
    more = told_apart(shapes)
    if more:
        found = _probe_at([*shapes, *more], python, name, text, inputs, platform)
        if not found.trouble:
            return found
    return _probe_at(shapes, python, name, text, inputs, platform)


def _probe_at(
    shapes: Sequence[Shape], python: Path, name: str, text: str, inputs: Sequence[Array], platform: str
) -> Probe:
    specs = [[{"dtype": array.dtype, "shape": array.sizes(shape)} for array in inputs] for shape in shapes]
    return probe_specs(python, name, text, specs, shapes, platform)


def probe_specs(
    python: Path, name: str, text: str, specs: Sequence[Specs], shapes: Sequence[Shape], platform: str
) -> Probe:
    """Load a variant and lower it for `tpu` or `cpu` with each of these inputs.

    The names of the outputs' axes are found by their values at the shapes that the inputs belong to.
    """
    try:
        with WorkerProcess(python, "candidate") as worker:
            worker.ask({"op": "load", "name": name, "config": {}}, [text.encode()], timeout_s=_LOAD_S)
            seen = [_outputs(worker, inputs, platform) for inputs in specs]
    except WorkerFailure as failure:
        detail = failure.detail.strip().splitlines() or [failure.reason]
        return Probe((), f"{failure.reason}: {detail[0][:300]}")
    except CairnError as error:
        return Probe((), error.message)
    if len({len(outputs) for outputs in seen}) != 1:
        return Probe((), "the number of outputs depends on the shape")
    arrays = []
    for index, first in enumerate(seen[0]):
        axes = axes_of([each[index]["shape"] for each in seen], list(shapes))
        arrays.append(Array("out" if len(seen[0]) == 1 else f"out{index}", str(first["dtype"]), axes))
    return Probe(tuple(arrays))


def _outputs(worker: WorkerProcess, inputs: Specs, platform: str) -> Specs:
    header = {"op": "export", "inputs": inputs, "platform": platform, "locations": False}
    reply, _ = worker.ask(header, timeout_s=_EXPORT_S)
    return list(reply["outputs"])
