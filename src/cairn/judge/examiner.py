"""The correctness stage: fresh inputs, the truth, the baseline's own error, and the comparison.

The variant's *program* at each shape is run by an executor in another process, and so is the baseline's. Seeds are
drawn here after the variant was loaded, exist nowhere else until the receipt is written, and never reach the variant:
it sees shapes only.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cairn.errors import BadInput
from cairn.judge import correctness
from cairn.judge.baseline import Asked, Baseline, against_baseline, broken
from cairn.judge.case import PRICED, Case
from cairn.judge.correctness import OutputError, Wire, decode
from cairn.judge.executors import Executor
from cairn.judge.probing import Checked, Prober
from cairn.judge.programs import Programs
from cairn.judge.protocol import Cost, Draw, Oracle, Runner, Specs
from cairn.judge.trivial import TrivialAnswers
from cairn.judge.verdict import Ruling, ruling_of_failure
from cairn.problem import Problem, Shape
from cairn.worker_process import WorkerFailure

# outputs of zeros are off by exactly 1; a problem that lets half of that pass judges nothing
_LOOSEST_RMS = 0.5
# one seed can be guessed, two can stand in a table
_LEAST_DRAWS = 3
# how long a full check of a bench shape may take; beyond it, blocks are sampled
_FULL_CHECK_S = 4.0
# so little is always checked in full: on a machine that others use the clock says nothing
_LITTLE_BYTES, _LITTLE_FLOPS = 64 * 2**20, 10**9
# how long a full check of a priced shape may take for the judge's own families to be asked about there
_QUICK_S = 2.0


@dataclass
class TimedInputs:
    """One set of inputs that programs are timed on; what is right for it is found out once, when it is asked."""

    seed: int
    shape: Shape
    family: str
    specs: Specs
    blobs: list[bytes]
    draw: Draw | None = None
    baseline: list[Wire] | None = None


class Examiner:
    """Holds what a variant must never hold: the oracle, the seeds and the tolerance.

    Failures of the baseline are the problem's fault, so they are errors.
    """

    def __init__(
        self,
        problem: Problem,
        oracle: Oracle,
        programs: Programs,
        executor: Executor,
        baseline: Baseline,
        *,
        trust_interpreter: bool = False,
    ) -> None:
        self.trusts_interpreter = trust_interpreter
        self._problem = problem
        self._oracle = oracle
        self._programs = programs
        self._executor = executor
        self._names = list(problem.outputs)
        self._dtypes = list(problem.outputs.values())
        self._baseline = baseline
        self._seconds: dict[tuple[tuple[str, int], ...], float] = {}
        self._truth_s: dict[tuple[tuple[str, int], ...], float] = {}
        self._prober = Prober(problem, oracle, executor, baseline)
        self._trivial = TrivialAnswers()
        self._checked: Checked | None = None
        self._baseline_of: tuple[Draw, Asked | list[Wire]] | None = None

    def examine(self, case: Case, runner: Runner, progress: Callable[[str], None]) -> Ruling | None:
        """Every check shape with every family, each held-out shape with one at random, then the probes.

        None when all hold.

        Raises:
            BadInput: the reference or the baseline is broken, or answers without any work would pass.
        """
        shapes, families = self._problem.shapes, self._problem.families
        probed = (_key(shapes.check[0]), secrets.choice(families))
        plan = [(shape, family) for shape in shapes.check for family in families]
        plan += [(shape, secrets.choice(families)) for shape in shapes.heldout]
        while len(plan) < _LEAST_DRAWS:
            plan.append((shapes.check[0], secrets.choice(families)))
        to_probe: Checked | None = None
        for index, (shape, family) in enumerate(plan, start=1):
            progress(f"{index} of {len(plan)}")
            ruling = self.check(case, runner, shape, family)
            if ruling is not None:
                return ruling
            if (_key(shape), family) == probed:
                to_probe = self._checked
        self._refuse_trivial()
        if to_probe is not None and (ruling := self._prober.probe(case, to_probe)) is not None:
            return ruling
        if case.doubt is not None and not self.trusts_interpreter:
            return Ruling("unreplayable", f"{case.doubt.detail}; right in the interpreter, which it could fool")
        return None

    @property
    def priced(self) -> bool:
        """Whether the problem's price is for certain whole numbers among the inputs."""
        return self._oracle.given(self._problem.shapes.bench[0]) is not None

    def check(self, case: Case, runner: Runner, shape: Shape, family: str) -> Ruling | None:
        """One fresh draw of a family at a shape, in full and against the truth; None when it holds."""
        program = self._programs.lower(case.variant, runner, shape)
        if isinstance(program, Ruling):
            return program
        started = time.monotonic()  # without the lowering, in which a variant may sleep as long as it likes
        draw = self._drawn(case, shape, family)
        self._baseline_of = (draw, self._baseline.begin(shape, draw.specs, draw.blobs))
        outputs, executor = self._answer(case, runner, program, draw)
        if isinstance(outputs, Ruling):
            return outputs
        ruling = self._compare(case, outputs, draw, executor)
        took = time.monotonic() - started
        self._seconds[_key(shape)] = min(took, self._seconds.get(_key(shape), took))
        checkable = ruling is None and executor != "interpreter"
        self._checked = Checked(program, draw, outputs, self._baseline_outputs(draw)) if checkable else None
        return ruling

    def check_priced(self, case: Case, runner: Runner, shape: Shape, family: str) -> Ruling | None:
        """Like `check`, where the baseline is dear: it is only asked when what it allowed before is not enough."""
        program = self._programs.lower(case.variant, runner, shape)
        if isinstance(program, Ruling):
            return program
        draw = self._drawn(case, shape, family)
        outputs, executor = self._answer(case, runner, program, draw)
        if isinstance(outputs, Ruling):
            return outputs
        ruling = correctness.check_form(outputs, draw.truth, self._names, self._dtypes)
        if ruling is not None:
            return ruling
        errors = [
            correctness.compare_as_before(case.allowances(name, family.removeprefix(PRICED)), decode(mine), truth)
            for name, mine, truth in zip(self._names, outputs, draw.truth, strict=True)
        ]
        if correctness.rule(errors, draw.where) is not None:
            return self._compare(case, outputs, draw, executor)
        case.note_check(shape, family, draw.seed, executor, errors, stand_in=True)
        return self._properties_hold(draw, outputs)

    def _drawn(self, case: Case, shape: Shape, family: str) -> Draw:
        started = time.monotonic()
        draw = self._oracle.draw(secrets.randbits(31), shape, family)
        took = time.monotonic() - started
        self._truth_s[_key(shape)] = min(took, self._truth_s.get(_key(shape), took))
        case.seeds.append(draw.seed)
        return draw

    def _answer(self, case: Case, runner: Runner, program: bytes, draw: Draw) -> tuple[list[Wire] | Ruling, str]:
        """What a program answers to a draw, and who ran it."""
        outputs = self._executor.run(program, draw.specs, draw.blobs)
        if isinstance(outputs, Ruling) and outputs.reason == "unreplayable":
            case.doubt = case.doubt or outputs
            return self._interpret(runner, draw, case.doubt), "interpreter"
        return outputs, self._executor.name

    def _refuse_trivial(self) -> None:
        """A problem that zeros, the mean or an input itself would solve is refused."""
        passing = self._trivial.passing
        if passing:
            path = self._problem.folder / "problem.yaml"
            hint = "lower tolerance, or let make_inputs draw what tells them apart"
            raise BadInput(f"{', '.join(passing)} would pass all checks", path=path, key="tolerance", hint=hint)

    @staticmethod
    def _interpret(runner: Runner, draw: Draw, doubt: Ruling) -> list[Wire] | Ruling:
        """Second best: the variant's own process runs it in Pallas' interpreter, and could cheat there.

        What a processor has no form for (products of 4-bit numbers) fails in both, and nobody is to blame.
        """
        try:
            return runner.call(draw.specs, draw.blobs)
        except WorkerFailure as failure:
            return doubt if failure.reason == "raised" else ruling_of_failure(failure, "runtime_error")

    def _compare(self, case: Case, outputs: Sequence[Wire], draw: Draw, executor: str) -> Ruling | None:
        ruling = correctness.check_form(outputs, draw.truth, self._names, self._dtypes)
        if ruling is not None:
            return ruling
        errors = self._errors(outputs, self._baseline_outputs(draw), draw)
        case.note_check(draw.shape, draw.family, draw.seed, executor, errors)
        self._trivial.add(draw, errors)
        return correctness.rule(errors, draw.where) or self._properties_hold(draw, outputs)

    def _properties_hold(self, draw: Draw, outputs: Sequence[Wire]) -> Ruling | None:
        broken = self._oracle.broken_properties(draw, outputs)
        return Ruling("broken_property", f"{', '.join(broken)} on {draw.where}") if broken else None

    def verify_timed(self, case: Case, outputs: Sequence[Wire], inputs: TimedInputs) -> Ruling | None:
        """Whether outputs that were timed are right: against the truth where that is affordable, else the baseline."""
        if not self.affordable(inputs.shape):
            return self._verify_by_baseline(case, outputs, inputs)
        inputs.draw = inputs.draw or self._oracle.draw(inputs.seed, inputs.shape, inputs.family)
        return self._compare(case, outputs, inputs.draw, self._executor.name)

    def _verify_by_baseline(self, case: Case, outputs: Sequence[Wire], inputs: TimedInputs) -> Ruling | None:
        if inputs.baseline is None:
            inputs.baseline = self._baseline.run(inputs.shape, inputs.specs, inputs.blobs)
        forms = [np.empty(output.shape) for output in inputs.baseline]
        ruling = correctness.check_form(outputs, forms, self._names, self._dtypes)
        if ruling is not None:
            return ruling
        answers = zip(self._names, self._dtypes, outputs, inputs.baseline, strict=True)
        errors = [
            against_baseline(case, self._problem.tolerance, name, dtype, decode(mine), decode(base))
            for name, dtype, mine, base in answers
        ]
        case.note_check(
            inputs.shape,
            inputs.family,
            inputs.seed,
            f"{self._executor.name}, by the baseline",
            errors,
            stand_in=True,
        )
        return correctness.rule(errors, f"{inputs.shape}, {inputs.family} inputs, against the baseline")

    def affordable(self, shape: Shape) -> bool:
        """Whether a shape is small, or a full check of it, the truth included, takes less than about four seconds."""
        return self._little(shape) or self._scaled(self._seconds, shape) <= _FULL_CHECK_S

    def quick(self, shape: Shape) -> bool:
        """Whether a shape is small, or several full checks of it can be afforded."""
        return self._little(shape) or self._scaled(self._seconds, shape) <= _QUICK_S

    def _little(self, shape: Shape) -> bool:
        cost = self._oracle.cost(shape)
        return cost.bytes <= _LITTLE_BYTES and cost.flops <= _LITTLE_FLOPS

    def truth_s(self, shape: Shape) -> float:
        """About how many seconds inputs and their truth take."""
        return self._scaled(self._truth_s, shape)

    def _scaled(self, seconds: Mapping[tuple[tuple[str, int], ...], float], shape: Shape) -> float:
        """By the shape that was cheapest for its work: elsewhere programs were compiled, or the machine was busy."""
        cost = self._oracle.cost(shape)
        return min(
            (s * _times_the_work(cost, self._oracle.cost(dict(key))) for key, s in seconds.items()), default=0.0
        )

    def _errors(self, outputs: Sequence[Wire], baseline: Sequence[Wire], draw: Draw) -> list[OutputError]:
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

    def _baseline_outputs(self, draw: Draw) -> list[Wire]:
        """The baseline's answer to a draw, remembered for the last one."""
        if self._baseline_of is None or self._baseline_of[0] is not draw:
            self._baseline_of = (draw, self._baseline.begin(draw.shape, draw.specs, draw.blobs))
        known = self._baseline_of[1]
        if isinstance(known, Asked):
            known = self._fit(draw, known.outputs())
            self._baseline_of = (draw, known)
        return known

    def _fit(self, draw: Draw, outputs: list[Wire]) -> list[Wire]:
        """The baseline's outputs, if they are what the problem asks for."""
        ruling = correctness.check_form(outputs, draw.truth, self._names, self._dtypes)
        if ruling is None and (names := self._oracle.broken_properties(draw, outputs)):
            ruling = Ruling("broken_property", ", ".join(names))
        if ruling is not None:
            raise broken(self._baseline.path, draw.where, ruling)
        return outputs


def _key(shape: Shape) -> tuple[tuple[str, int], ...]:
    return tuple(shape.items())


def _times_the_work(mine: Cost, known: Cost) -> float:
    return max(mine.flops / max(known.flops, 1), mine.bytes / max(known.bytes, 1))
