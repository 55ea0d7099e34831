"""Record a profile of one variant on a device of this machine: as a program that was read before it is run."""

import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.errors import BadInput, Missing
from cairn.judge.executors import DeviceExecutor
from cairn.judge.programs import Programs
from cairn.judge.protocol import JudgeLimits, Oracle, Runner, VariantSource
from cairn.judge.timing_plan import PLATFORMS, InputSet, timer_environment
from cairn.judge.verdict import Ruling
from cairn.problem import Problem, Shape
from cairn.roofline import Target
from cairn.worker_process import WorkerFailure, WorkerProcess


@dataclass(frozen=True)
class Recording:
    """Files as the profiler wrote them, by name, and what they were recorded on."""

    files: dict[str, bytes]
    device: str
    jax: str
    shape: Shape


def record_profile(
    problem: Problem, target: Target, python: Path, variant: VariantSource, shape: Shape, steps: int
) -> Recording:
    """Lower a variant, run it `steps` times under the profiler, and bring the recording home.

    Raises:
        Missing: no such device.
        BadInput: the variant does not lower, its program must not be run here, or it fails.
    """
    limits = JudgeLimits()
    platform = PLATFORMS[target.chip_name.split("-")[0]]
    path = Path(f"{variant.name}.py")
    with ExitStack() as stack:
        executor = DeviceExecutor(python, platform, limits)
        stack.callback(executor.close)
        executor.device()
        oracle = Oracle(problem, python)
        stack.callback(oracle.close)
        programs = Programs(oracle, lambda: Runner(python, limits), platform)
        (program,) = _allowed(programs.lower_alone(variant, [shape]), path)
        _allowed(executor.vet(program), path)
        inputs = oracle.inputs(secrets.randbits(31), shape, problem.families[0])
    try:
        reply, files = record_program(python, platform, program, inputs, steps, limits.call_s)
    except WorkerFailure as failure:
        if failure.reason == "timeout":
            hint = "fewer --steps, or a smaller --shape"
            raise BadInput(
                f"the recording takes longer than {limits.call_s:g} s", path=path, hint=hint
            ) from failure
        raise BadInput(f"it cannot be recorded: {failure.detail[:600]}", path=path) from failure
    if not files:
        raise Missing("the profiler wrote no file", hint="look at: cairn doctor")
    return Recording(files, str(reply["kind"]), str(reply["jax"]), shape)


def record_program(
    python: Path, platform: str, program: bytes, inputs: InputSet, steps: int, timeout_s: float
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Run a program that may be run here `steps` times under the profiler: what it ran on, and the files by name.

    Raises:
        WorkerFailure: the program failed, or took too long.
    """
    specs, blobs = inputs
    with WorkerProcess(python, "recorder", environment=timer_environment(platform)) as recorder:
        header = {"op": "record", "inputs": specs, "steps": steps}
        reply, contents = recorder.ask(header, [program, *blobs], timeout_s=timeout_s)
    return reply, dict(zip(reply["files"], contents, strict=True))


def _allowed(found: Any, path: Path) -> Any:
    if isinstance(found, Ruling):
        raise BadInput(f"{found.reason}: {found.detail}", path=path, hint="cairn judge run says more")
    return found
