"""The programs that variants lower to, at each shape: what is compared, checked, compiled, priced and timed."""

from collections.abc import Sequence
from pathlib import Path

from cairn.judge.protocol import JudgeLimits, Oracle, Runner, Specs, VariantSource
from cairn.judge.verdict import Ruling, ruling_of_failure
from cairn.lab.failures import classify
from cairn.problem import Shape
from cairn.worker_process import WorkerFailure

_Key = tuple[str, tuple[tuple[str, int], ...]]


class Programs:
    """Lowers variants for one platform and remembers the result by source, config and shape."""

    def __init__(self, oracle: Oracle, python: Path, limits: JudgeLimits, platform: str) -> None:
        self.platform = platform
        self._oracle = oracle
        self._python = python
        self._limits = limits
        self._specs: dict[tuple[tuple[str, int], ...], Specs] = {}
        self._known: dict[_Key, bytes] = {}

    def lower(self, variant: VariantSource, runner: Runner, shape: Shape) -> bytes | Ruling:
        """The program of a loaded variant at a shape, or what its refusal means."""
        key = (variant.digest, tuple(shape.items()))
        if key not in self._known:
            try:
                self._known[key] = runner.export(self.specs(shape), self.platform)
            except WorkerFailure as failure:
                return ruling_of_lowering(failure)
        return self._known[key]

    def lower_alone(self, variant: VariantSource, shapes: Sequence[Shape]) -> list[bytes] | Ruling:
        """Programs of a variant at several shapes, from a process started for it if need be."""
        keys = [(variant.digest, tuple(shape.items())) for shape in shapes]
        if all(key in self._known for key in keys):
            return [self._known[key] for key in keys]
        with Runner(self._python, self._limits) as runner:
            try:
                runner.load(variant)
            except WorkerFailure as failure:
                return ruling_of_failure(failure, "import_error")
            lowered = [self.lower(variant, runner, shape) for shape in shapes]
        refused = next((program for program in lowered if isinstance(program, Ruling)), None)
        return refused or [program for program in lowered if isinstance(program, bytes)]

    def specs(self, shape: Shape) -> Specs:
        """Shapes and types of the inputs."""
        key = tuple(shape.items())
        if key not in self._specs:
            self._specs[key] = self._oracle.specs(shape)
        return self._specs[key]


def ruling_of_lowering(failure: WorkerFailure) -> Ruling:
    """Errors of lowering are the compiler's, met early: the same classes, the same hints."""
    if failure.reason != "raised":
        return ruling_of_failure(failure, "trace_error")
    error = failure.error
    found = classify(error.get("type", ""), error.get("message", ""), error.get("traceback", ""))
    where = f" ({found.source})" if found.source else ""
    reason = "trace_error" if found.kind == "compile_error" else found.kind
    return Ruling(reason, f"{found.line}{where}. {found.hint}")
