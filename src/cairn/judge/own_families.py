"""Inputs that the problem's author did not think of: families of the judge's own, and a shape nobody has listed.

The families are made from the problem's draws, within what its inputs may be (`worker/own_families.py`). Nobody
promised that the problem makes sense on them, so each is asked about the problem first: the reference must take it,
and the baseline must be clearly right on it. Then the usual rule holds, k times the baseline's own error, with twice
the allowance, since the author never measured k there. A family convicts only when two fresh draws of it fail.

The shape is put together from sizes of the check and held-out shapes. A variant may refuse it, as sizes often depend
on each other in ways that only its author knows; but where it answers, it has to be right.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from cairn.errors import BadInput
from cairn.judge import correctness
from cairn.judge.baseline import Baseline
from cairn.judge.case import OWN_FAMILY, Case
from cairn.judge.conditioning import CLEARLY_RIGHT_RMS, as_conditioned
from cairn.judge.correctness import OutputError, Wire, decode
from cairn.judge.executors import DeviceExecutor, Executor
from cairn.judge.programs import Programs
from cairn.judge.protocol import Draw, Oracle, Runner
from cairn.judge.verdict import Ruling
from cairn.problem import Problem, Shape, Tolerance

_WIDER = 2.0
# many equal terms round in the same direction, and an honest sum drifts by more than its type's rounding
_WIDER_FLOOR = 4.0
# equal elements are neither largest nor first: which one an index names is nobody's promise
_WITH_TIES = {"judge:constant", "judge:one_hot", "judge:blocks"}
_SHAPES_TRIED = 8
# how long families at a priced shape are asked about after the first, for which programs are compiled
_PRICED_S = 2.0


class OwnFamilies:
    """Shows variants inputs beyond the problem's own families."""

    def __init__(
        self, problem: Problem, oracle: Oracle, programs: Programs, executor: Executor, baseline: Baseline
    ) -> None:
        self._problem = problem
        self._oracle = oracle
        self._programs = programs
        self._executor = executor
        self._names = list(problem.outputs)
        self._dtypes = list(problem.outputs.values())
        self._baseline = baseline
        self._small = [*problem.shapes.check, *problem.shapes.heldout]
        self._new_shapes: list[Shape | None] = []
        own = problem.tolerance
        floors = {dtype: _WIDER_FLOOR * own.floor_of(dtype) for dtype in self._dtypes}
        self._tolerance = Tolerance(multiple=_WIDER * own.multiple, floor=floors)

    def names(self) -> list[str]:
        """The families that can be made for this problem.

        Raises:
            BadInput: what the reference declares about its inputs cannot be read.
        """
        exact = any(dtype.startswith(("int", "uint", "bool")) for dtype in self._dtypes)
        made = self._oracle.domains(self._problem.shapes.check[0]).families
        return [name for name in made if not (exact and name in _WITH_TIES)]

    def examine(self, case: Case, runner: Runner, priced: Sequence[Shape]) -> Ruling | None:
        """None when a variant is right on every family that the problem can be asked about, and on a new shape.

        Each family is asked about at a shape drawn from the check and held-out ones, so that no program can be careful
        at one shape only; and at one of the `priced` shapes, which are small enough for it, as long as there is time.
        """
        case.facts.setdefault("own_families", {})
        names = self.names()
        for family in names:
            ruling = self._ask_at(case, runner, secrets.choice(self._small), family)
            if ruling is not None:
                return ruling
        ruling = self._at_a_priced_shape(case, runner, names, priced)
        if ruling is not None:
            return ruling
        return self._new_shape(case, runner)

    def _at_a_priced_shape(
        self, case: Case, runner: Runner, names: Sequence[str], priced: Sequence[Shape]
    ) -> Ruling | None:
        """As many families as can be asked about in a few seconds, in random order, at one shape."""
        if not priced:
            return None
        shape, left_s = secrets.choice(priced), _PRICED_S
        names = [name for name in names if name not in _WITH_TIES]  # an honest sum of many equal terms drifts far
        for index, family in enumerate(secrets.SystemRandom().sample(names, len(names))):
            started = time.monotonic()
            ruling = self._ask_at(case, runner, shape, family)
            if ruling is not None:
                return ruling
            took_s = time.monotonic() - started
            left_s -= took_s if index else 0.0
            if took_s > left_s:
                break
        return None

    def _ask_at(self, case: Case, runner: Runner, shape: Shape, family: str) -> Ruling | None:
        """Ask about one family at one shape, and write down what became of it."""
        program = self._programs.lower(case.variant, runner, shape)
        if isinstance(program, Ruling):
            return program
        where = " ".join(f"{name}={size}" for name, size in shape.items())
        ruling, case.facts["own_families"][f"{family} at {where}"] = self._ask(case, program, shape, family)
        return ruling

    def _ask(self, case: Case, program: bytes, shape: Shape, family: str) -> tuple[Ruling | None, str]:
        """Two fresh draws at most: what fails twice is wrong, what fails once was close to its limit."""
        for _ in range(2):
            drawn = self._draw(shape, family)
            if isinstance(drawn, str):
                return None, f"not asked: {drawn}"
            ruling = self._compare(case, program, *drawn)
            if ruling is None:
                return None, "held"
            if ruling.reason == "unreplayable":
                return None, f"not asked: {ruling.detail}"
        if self._holds_apart(case, program, *drawn):
            return None, "held as it is written; where XLA fuses it, roundings are left out"
        return ruling, "failed"

    def _holds_apart(self, case: Case, program: bytes, draw: Draw, baseline: Sequence[Wire]) -> bool:
        """Whether a program is right where a processor carries out each operation by itself."""
        if not isinstance(self._executor, DeviceExecutor):
            return False
        outputs = self._executor.run_apart(program, draw.specs, draw.blobs)
        return isinstance(outputs, list) and self._rule(case, outputs, draw, baseline) is None

    def _draw(self, shape: Shape, family: str) -> tuple[Draw, list[Wire]] | str:
        """Inputs, their truth and the baseline's answer; or why the problem cannot be asked about them."""
        try:
            draw = self._oracle.draw(secrets.randbits(31), shape, family)
        except BadInput as error:
            return f"the reference does not take it: {error.message[-200:]}"
        outputs = self._baseline.answer(shape, draw.specs, draw.blobs)
        if isinstance(outputs, Ruling):
            return f"the baseline fails on it: {outputs.reason}"
        wrong = correctness.check_form(outputs, draw.truth, self._names, self._dtypes)
        if wrong is not None:
            return f"the baseline fails on it: {wrong.detail[:200]}"
        far = [
            f"`{name}` by {rms:.1e}"
            for name, wire, truth in zip(self._names, outputs, draw.truth, strict=True)
            if not (rms := correctness.distance(decode(wire), truth)[0]) <= CLEARLY_RIGHT_RMS
        ]
        if far:
            return f"the baseline is off there: {', '.join(far)}"
        broken = self._oracle.broken_properties(draw, outputs)
        return f"the baseline breaks {', '.join(broken)} there" if broken else (draw, outputs)

    def _compare(self, case: Case, program: bytes, draw: Draw, baseline: Sequence[Wire]) -> Ruling | None:
        case.seeds.append(draw.seed)
        outputs = self._executor.run(program, draw.specs, draw.blobs)
        return outputs if isinstance(outputs, Ruling) else self._rule(case, outputs, draw, baseline)

    def _rule(self, case: Case, outputs: Sequence[Wire], draw: Draw, baseline: Sequence[Wire]) -> Ruling | None:
        ruling = correctness.check_form(outputs, draw.truth, self._names, self._dtypes)
        if ruling is not None:
            return ruling
        answers = zip(self._names, self._dtypes, outputs, baseline, draw.truth, strict=True)
        errors = [
            _without_small(correctness.compare(name, dtype, decode(mine), decode(theirs), truth, self._tolerance))
            for name, dtype, mine, theirs, truth in answers
        ]
        if correctness.rule(errors, draw.where) is not None:
            errors = as_conditioned(self._oracle, draw, outputs, errors, self._tolerance.multiple)
        family = (
            draw.family if draw.family.startswith(OWN_FAMILY) else f"{OWN_FAMILY}{draw.family}, on a new shape"
        )
        case.note_check(draw.shape, family, draw.seed, self._executor.name, errors)
        return correctness.rule(errors, draw.where)

    def _new_shape(self, case: Case, runner: Runner) -> Ruling | None:
        """One shape that is not listed anywhere, drawn once for this judge, with a family of the problem's."""
        if not self._new_shapes:
            self._new_shapes.append(self._shape())
        shape = self._new_shapes[0]
        if shape is None:
            return None
        program = self._programs.lower(case.variant, runner, shape)
        if isinstance(program, Ruling):
            case.facts["own_families"]["new shape"] = f"refused: {program.reason}"
            return None
        family = secrets.choice(self._problem.families)
        ruling, case.facts["own_families"]["new shape"] = self._ask(case, program, shape, family)
        return ruling

    def _shape(self) -> Shape | None:
        """Sizes of check and held-out shapes in a new combination that the reference and the baseline take."""
        shapes = self._problem.shapes
        listed = [*shapes.check, *shapes.heldout]
        if any(shape.keys() != listed[0].keys() for shape in listed):
            return None
        for _ in range(_SHAPES_TRIED):
            shape = {axis: secrets.choice([each[axis] for each in listed]) for axis in listed[0]}
            if shape not in [*listed, *shapes.bench] and self._takes(shape):
                return shape
        return None

    def _takes(self, shape: Shape) -> bool:
        try:
            self._programs.specs(shape)
        except BadInput:
            return False
        return self._baseline.lowers(shape)


def _without_small(error: OutputError) -> OutputError:
    """The measure of small elements is the author's: on heavy tails they drown in any honest kernel too."""
    return replace(error, allowed_small=float("inf"))
