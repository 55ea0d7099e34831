"""The correctness stage: fresh inputs, the truth, the baseline's own error, and the comparison."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from cairn.errors import BadInput
from cairn.judge import correctness
from cairn.judge.case import Case
from cairn.judge.correctness import OutputError, Wire, decode
from cairn.judge.protocol import Draw, JudgeLimits, Oracle, Runner, VariantSource
from cairn.judge.verdict import Ruling, ruling_of_failure
from cairn.problem import Problem
from cairn.worker_process import WorkerFailure

# outputs of zeros are off by exactly 1; a problem that lets half of that pass judges nothing
_LOOSEST_RMS = 0.5


class Examiner:
    """Holds what a variant must never hold: the oracle, the seeds and the tolerance.

    The baseline runs in a warm process of its own. Its failures are the problem's fault, so they are errors.
    """

    def __init__(self, problem: Problem, oracle: Oracle, python: Path, limits: JudgeLimits) -> None:
        self._problem = problem
        self._oracle = oracle
        self._path = problem.variant(problem.baseline)
        self._names = list(problem.outputs)
        self._dtypes = list(problem.outputs.values())
        self.baseline = VariantSource.read(self._path)
        self._runner = Runner(python, limits)
        self._load_baseline()

    def examine(self, case: Case, runner: Runner, progress: Callable[[str], None]) -> Ruling | None:
        """Every check shape with every family, each held-out shape with one family at random; None when all hold.

        Seeds are drawn here, after the variant was loaded, and exist nowhere else until the receipt is written.
        """
        shapes, families = self._problem.shapes, self._problem.families
        plan = [(shape, family) for shape in shapes.check for family in families]
        plan += [(shape, secrets.choice(families)) for shape in shapes.heldout]
        for index, (shape, family) in enumerate(plan, start=1):
            progress(f"{index} of {len(plan)}")
            draw = self._oracle.draw(secrets.randbits(31), shape, family)
            case.seeds.append(draw.seed)
            ruling = self._check(case, runner, draw)
            if ruling is not None:
                return ruling
        return None

    def _check(self, case: Case, runner: Runner, draw: Draw) -> Ruling | None:
        try:
            outputs = runner.call(draw.specs, draw.blobs)
        except WorkerFailure as failure:
            return ruling_of_failure(failure, "runtime_error")
        ruling = correctness.check_form(outputs, draw.truth, self._names, self._dtypes)
        if ruling is not None:
            return ruling
        errors = self._compare(outputs, self._baseline_outputs(draw), draw)
        case.checks.append(
            {
                "shape": draw.shape,
                "family": draw.family,
                "seed": draw.seed,
                "outputs": [error.record() for error in errors],
            }
        )
        return correctness.rule(errors, draw.where)

    def verify_timed(self, outputs: Sequence[Wire], draw: Draw) -> Ruling | None:
        """Whether outputs that were timed are right; the baseline is run once more on the same inputs."""
        ruling = correctness.check_form(outputs, draw.truth, self._names, self._dtypes)
        if ruling is not None:
            return ruling
        return correctness.rule(self._compare(outputs, self._baseline_outputs(draw), draw), draw.where)

    def _compare(self, outputs: Sequence[Wire], baseline: Sequence[Wire], draw: Draw) -> list[OutputError]:
        errors = [
            correctness.compare(name, dtype, decode(mine), decode(theirs), truth, self._problem.tolerance)
            for name, dtype, mine, theirs, truth in zip(
                self._names, self._dtypes, outputs, baseline, draw.truth, strict=True
            )
        ]
        loose = next((error for error in errors if not error.allowed_rms < _LOOSEST_RMS), None)
        if loose is not None:
            allowed = f"`{loose.output}` may be off by {loose.allowed_rms:.2g} of its size"
            path = self._problem.folder / "problem.yaml"
            hint = "mend the baseline, or lower tolerance.multiple"
            raise BadInput(f"on {draw.where} {allowed}: zeros would pass", path=path, key="tolerance", hint=hint)
        return errors

    def _load_baseline(self) -> None:
        try:
            self._runner.load(self.baseline)
        except WorkerFailure as failure:
            self.close()
            raise self._broken("load", failure.detail) from failure

    def _baseline_outputs(self, draw: Draw) -> list[Wire]:
        try:
            outputs = self._runner.call(draw.specs, draw.blobs)
        except WorkerFailure as failure:
            raise self._broken(draw.where, failure.detail) from failure
        ruling = correctness.check_form(outputs, draw.truth, self._names, self._dtypes)
        if ruling is not None:
            raise self._broken(draw.where, ruling.detail)
        return outputs

    def _broken(self, where: str, what: str) -> BadInput:
        return BadInput(f"the baseline fails at {where}: {what[:800]}", path=self._path)

    def close(self) -> None:
        self._runner.close()
