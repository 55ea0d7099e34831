"""The programs that variants lower to, at each bench shape: what is compiled, priced and compared for liveness."""

from pathlib import Path

from cairn.judge.protocol import JudgeLimits, Oracle, Runner, Specs, VariantSource
from cairn.judge.verdict import Ruling, ruling_of_failure
from cairn.lab.failures import classify
from cairn.problem import Problem
from cairn.worker_process import WorkerFailure


class Programs:
    """Lowers variants and remembers the result by source and config."""

    def __init__(
        self, problem: Problem, oracle: Oracle, python: Path, limits: JudgeLimits, platform: str = "tpu"
    ) -> None:
        self._platform = platform
        self._bench = problem.shapes.bench
        self._oracle = oracle
        self._python = python
        self._limits = limits
        self._specs: dict[int, Specs] = {}
        self._known: dict[tuple[str, int], bytes] = {}

    def lower(self, variant: VariantSource, runner: Runner, index: int) -> bytes | Ruling:
        """The program of a loaded variant at a bench shape, or what its refusal means."""
        key = (variant.digest, index)
        if key not in self._known:
            try:
                self._known[key] = runner.export(self.specs(index), self._platform)
            except WorkerFailure as failure:
                return ruling_of_lowering(failure)
        return self._known[key]

    def lower_all(self, variant: VariantSource) -> list[bytes] | None:
        """Programs at every bench shape, from a process started for it if need be; None when one fails."""
        indices = range(len(self._bench))
        if all((variant.digest, index) in self._known for index in indices):
            return [self._known[variant.digest, index] for index in indices]
        with Runner(self._python, self._limits) as runner:
            try:
                runner.load(variant)
            except WorkerFailure:
                return None
            lowered = [self.lower(variant, runner, index) for index in indices]
        programs = [program for program in lowered if isinstance(program, bytes)]
        return programs if len(programs) == len(lowered) else None

    def specs(self, index: int) -> Specs:
        """Shapes and types of the inputs at a bench shape."""
        if index not in self._specs:
            self._specs[index] = self._oracle.specs(self._bench[index])
        return self._specs[index]


def ruling_of_lowering(failure: WorkerFailure) -> Ruling:
    """Errors of lowering are the compiler's, met early: the same classes, the same hints."""
    if failure.reason != "raised":
        return ruling_of_failure(failure, "trace_error")
    error = failure.error
    found = classify(error.get("type", ""), error.get("message", ""), error.get("traceback", ""))
    where = f" ({found.source})" if found.source else ""
    reason = "trace_error" if found.kind == "compile_error" else found.kind
    return Ruling(reason, f"{found.line}{where}. {found.hint}")
