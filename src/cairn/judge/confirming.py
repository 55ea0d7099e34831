"""The last look before a variant is kept: is it right at the shapes that were *priced*?

It may be right on small shapes only. A shape is checked in full against the truth where that is affordable, else in
blocks drawn at random. These are held against the truth on the part of the inputs that they depend on, or against the
baseline on that part, where the truth takes too long.

The variant's program always runs at the priced shape. Where it provably cannot see more of its inputs than the part
(`worker/stablehlo_local.py`), only the part is drawn; else the whole inputs are.
"""

import secrets
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from cairn.errors import BadInput
from cairn.judge import breakdown, correctness, sampling, slices
from cairn.judge.baseline import Asked, Baseline, against_baseline
from cairn.judge.case import PRICED, Case
from cairn.judge.correctness import decode
from cairn.judge.draws import BenchDraws, BenchInputs
from cairn.judge.examiner import Examiner
from cairn.judge.executors import ReplayExecutor
from cairn.judge.programs import Programs
from cairn.judge.protocol import Runner
from cairn.judge.replay import Cover, NotLocal
from cairn.judge.sampling import FIRST, Blocks, Look
from cairn.judge.slices import Part
from cairn.judge.verdict import Ruling
from cairn.problem import Problem, Shape

# a part that is nearly everything is not worth a program of its own
_WORTHWHILE = 0.75
# how long the truth about some blocks may take
_TRUTH_S = 2.0


@dataclass(frozen=True)
class _Plan:
    """What will be looked at: blocks of a program at a shape, and the inputs that are drawn for them."""

    shape: Shape
    program: bytes
    cells: int
    seed: int
    part: Part
    cover: Cover | None
    inputs: Future[BenchInputs]
    priced: bool = False
    family: str | None = None  # one of the judge's own; else the problem's are drawn from


@dataclass(frozen=True)
class _Waiting:
    """Blocks that were computed, and where no truth was, the baseline at work on their part."""

    shape: Shape
    look: Look
    blocks: Blocks
    baseline: Asked | None


_SeenWide = tuple[Blocks, Asked] | Ruling | str


class Confirmer:
    """Checks the shapes that were priced, for one variant at a time."""

    def __init__(
        self,
        problem: Problem,
        programs: Programs,
        executor: ReplayExecutor,
        examiner: Examiner,
        baseline: Baseline,
        draws: BenchDraws,
    ) -> None:
        self._problem = problem
        self._programs = programs
        self._executor = executor
        self._examiner = examiner
        self._baseline = baseline
        self._draws = draws
        self._plans: list[_Plan] = []

    def begin(self, case: Case, runner: Runner) -> None:
        """Begin to draw inputs of the shapes that are too large for a full check."""
        self._programs.prepare_alone()
        for shape in self._large():
            program = self._programs.lower(case.variant, runner, shape)
            if isinstance(program, bytes):
                cells = sampling.first_blocks(_gain(case))
                self._plans.append(self._plan(program, shape, cells, priced=self._examiner.priced))

    def abandon(self) -> None:
        """Nothing more is asked about this variant."""
        self._plans = []
        self._draws.abandon()

    def confirm(self, case: Case, runner: Runner, progress: Callable[[str], None]) -> Ruling | None:
        """Every priced shape; the baseline works on one while the variant's program runs at the next.

        Where the price is for certain whole numbers among the inputs (sizes of groups), these are what is checked, or
        a program could leave out work for them alone; and one shape is checked with others as well.

        Raises:
            BadInput: the reference or the baseline fails.
        """
        waiting: list[_Waiting] = []
        bench, large, priced = self._problem.shapes.bench, self._large(), self._examiner.priced
        wide = None if priced or not large else self._plan_wide(case, runner, secrets.choice(large))
        looks = [(shape, priced) for shape in bench]
        looks += [(secrets.choice(bench), False)] if priced else []
        for index, (shape, given) in enumerate(looks, start=1):
            progress(f"shape {index} of {len(looks)}")
            if shape in large:
                found = self._look(case, runner, shape, priced=given)
            else:
                family = secrets.choice(self._problem.families)
                found = self._examiner.check_priced(case, runner, shape, f"{PRICED}{family}" if given else family)
            if isinstance(found, Ruling):
                return found
            if found is not None:
                waiting.append(found)
        seen_wide = None if wide is None else self._see_wide(case, wide)
        for each in waiting:
            ruling = self._compare(case, each)
            if ruling is not None and each.blocks.part.cuts:
                ruling = self._again(case, runner, each)
            if ruling is not None:
                return ruling
        return None if wide is None or seen_wide is None else self._rule_wide(case, wide, seen_wide)

    def _plan_wide(self, case: Case, runner: Runner, shape: Shape) -> _Plan | None:
        """Some blocks on inputs wider than the author's, of a family that the variant stood at small shapes."""
        program, families = self._programs.lower(case.variant, runner, shape), breakdown.stood(case)
        if isinstance(program, Ruling) or not families:
            return None
        return self._plan(program, shape, FIRST, family=secrets.choice(families))

    def _see_wide(self, case: Case, plan: _Plan, *, uncut: bool = False) -> _SeenWide:
        """The blocks, and the baseline at work on them; else what speaks against them, or why they are not asked."""
        try:
            blocks = self._sample_whole(plan, uncut=True) if uncut else self._sample(plan)
        except BadInput as error:
            return f"not asked: the reference does not take it: {error}"[:200]
        if isinstance(blocks, Ruling):
            return f"not asked: {blocks.detail}"[:200] if blocks.reason == "unreplayable" else blocks
        case.seeds.append(blocks.inputs.seed)
        return blocks, self._baseline.begin(blocks.part.shape, blocks.inputs.specs, blocks.inputs.blobs)

    def _rule_wide(self, case: Case, plan: _Plan, seen: _SeenWide) -> Ruling | None:
        """A part of the inputs may accuse nobody: who breaks down there is looked at again on whole ones."""
        answer = self._stands(seen)
        if isinstance(answer, Ruling):
            inputs = self._draws.begin(plan.shape, truth=False, family=plan.family)
            whole = Part(plan.shape, ())
            again = replace(plan, seed=secrets.randbits(31), part=whole, cover=None, inputs=inputs)
            answer = self._stands(self._see_wide(case, again, uncut=True))
        where = f"{plan.family} at {' '.join(f'{name}={size}' for name, size in plan.shape.items())}, some blocks"
        case.facts["own_families"][where] = "failed" if isinstance(answer, Ruling) else answer
        return Ruling(answer.reason, f"{answer.detail}, {where}") if isinstance(answer, Ruling) else None

    def _stands(self, seen: _SeenWide) -> Ruling | str:
        """`held`, why nobody knows, or what speaks against the blocks."""
        if isinstance(seen, str | Ruling):
            return seen
        blocks, asked = seen
        base = asked.future.result()
        if isinstance(base, Ruling):
            return f"not asked: the baseline fails: {base.reason}"
        return breakdown.broken_down(list(self._problem.outputs), blocks.outputs, base, blocks.covered) or "held"

    def _again(self, case: Case, runner: Runner, waiting: _Waiting) -> Ruling | None:
        """The same blocks on whole inputs, against the whole baseline, before a part of them accuses anybody."""
        program = self._programs.lower(case.variant, runner, waiting.shape)
        if isinstance(program, Ruling):
            return program
        priced = waiting.blocks.inputs.family.startswith(PRICED)
        inputs = self._draws.begin(waiting.shape, truth=False, priced=priced)
        whole = Part(waiting.shape, ())
        plan = _Plan(
            waiting.shape, program, max(waiting.look.blocks, FIRST), waiting.blocks.seed, whole, None, inputs
        )
        blocks = self._sample_whole(plan, uncut=True)
        if isinstance(blocks, Ruling):
            return blocks
        case.seeds.append(blocks.inputs.seed)
        asked = self._baseline.begin(waiting.shape, blocks.inputs.specs, blocks.inputs.blobs)
        return self._compare(case, _Waiting(waiting.shape, waiting.look, blocks, asked))

    def _large(self) -> list[Shape]:
        return [shape for shape in self._problem.shapes.bench if not self._examiner.affordable(shape)]

    def _plan(
        self, program: bytes, shape: Shape, cells: int, *, priced: bool = False, family: str | None = None
    ) -> _Plan:
        """Draw blocks, and begin to draw the inputs that they depend on; what is priced is known of whole ones."""
        seed = secrets.randbits(31)
        part, cover = (Part(shape, ()), None) if priced else self._part(program, shape, cells, seed)
        truth = bool(part.cuts) and family is None and self._examiner.truth_s(part.shape) <= _TRUTH_S
        if part.cuts and not truth and not self._baseline.lowers(part.shape):
            part, cover = Part(shape, ()), None
        inputs = self._draws.begin(part.shape, truth, priced=priced, family=family)
        return _Plan(shape, program, cells, seed, part, cover, inputs, priced, family)

    def _part(self, program: bytes, shape: Shape, cells: int, seed: int) -> tuple[Part, Cover | None]:
        """The part of a shape that blocks lie in, and which elements they are; the whole where that is not known."""
        axes = self._draws.axes()
        sizes = [(shape[axis.key], axis.outputs) for axis in axes]
        try:
            cover = self._executor.cover(program, cells, seed, sizes)
        except NotLocal:
            return Part(shape, ()), None
        if isinstance(cover, Ruling):
            return Part(shape, ()), None
        part = slices.part_at(axes, shape, cover.held)
        return (part, cover) if part.share_of(shape) <= _WORTHWHILE else (Part(shape, ()), None)

    def _look(self, case: Case, runner: Runner, shape: Shape, *, priced: bool) -> Ruling | _Waiting | None:
        program = self._programs.lower(case.variant, runner, shape)
        if isinstance(program, Ruling):
            return program
        planned = [plan for plan in self._plans if plan.program == program and plan.priced == priced]

        def sample(cells: int) -> Blocks | Ruling:
            ready = next((plan for plan in planned if plan.cells == cells), None)
            blocks = self._sample(ready or self._plan(program, shape, cells, priced=priced))
            if isinstance(blocks, Blocks):
                case.seeds.append(blocks.inputs.seed)
            return blocks

        look = sampling.look(sample, _gain(case))
        if isinstance(look.seen, Ruling):
            doubtful = look.seen.reason == "unreplayable" and self._examiner.trusts_interpreter
            return None if doubtful else look.seen
        inputs, part = look.seen.inputs, look.seen.part
        asked = None
        if inputs.truth is None:
            asked = self._baseline.begin(part.shape, inputs.specs, inputs.blobs)
        return _Waiting(shape, look, look.seen, asked)

    def _sample(self, plan: _Plan) -> Blocks | Ruling:
        """The blocks of a plan, on a part of the inputs or on whole ones."""
        part, cover = plan.part, plan.cover
        if cover is None:
            return self._sample_whole(plan)
        try:
            inputs = plan.inputs.result()
        except BadInput:  # nobody promised that the reference takes such a shape
            return self._sample_whole(plan)
        spread = part.spread(len(inputs.specs), len(cover.masks))
        try:
            outputs = self._executor.run_part(
                plan.program, inputs.specs, inputs.blobs, spread, plan.cells, plan.seed
            )
        except NotLocal:
            return self._sample_whole(plan)
        if isinstance(outputs, Ruling):
            return outputs
        return Blocks(plan.seed, inputs, part, outputs, cover.masks, cover.share)

    def _sample_whole(self, plan: _Plan, *, uncut: bool = False) -> Blocks | Ruling:
        """On whole inputs; what they are compared on is cut out afterwards, unless they shall stay `uncut`."""
        whole = not plan.part.cuts
        ready = plan.inputs if whole else self._draws.begin(plan.shape, truth=False, family=plan.family)
        inputs = ready.result()
        sample = self._executor.sample(plan.program, inputs.specs, inputs.blobs, plan.cells, plan.seed)
        if isinstance(sample, Ruling):
            return sample
        part = slices.part_of(self._draws.axes(), plan.shape, sample.covered)
        if uncut or part.share_of(plan.shape) > _WORTHWHILE or not self._baseline.lowers(part.shape):
            part = Part(plan.shape, ())
        outputs = [part.output(index, wire) for index, wire in enumerate(sample.outputs)]
        covered = [part.of(index, mask) for index, mask in enumerate(sample.covered)]
        cut = BenchInputs(inputs.seed, inputs.family, *part.inputs(inputs.specs, inputs.blobs), None)
        share = min(float(mask.mean()) for mask in sample.covered)
        return Blocks(plan.seed, cut, part, outputs, covered, share)

    def _compare(self, case: Case, waiting: _Waiting) -> Ruling | None:
        """The blocks against the truth, or the baseline in its place, whose own error is known by now."""
        blocks, inputs = waiting.blocks, waiting.blocks.inputs
        expected = inputs.truth
        if waiting.baseline is not None:
            expected = [decode(wire) for wire in waiting.baseline.outputs()]
        assert expected is not None
        names, dtypes = list(self._problem.outputs), list(self._problem.outputs.values())
        ruling = correctness.check_form(blocks.outputs, expected, names, dtypes)
        if ruling is not None:
            return ruling
        answers = zip(names, dtypes, blocks.outputs, expected, blocks.covered, strict=True)
        errors = [
            against_baseline(case, self._problem.tolerance, name, dtype, decode(mine, where), right[where])
            for name, dtype, mine, right, where in answers
        ]
        look, held = waiting.look, "the truth" if waiting.baseline is None else "the baseline"
        text = f"{self._executor.name}, {blocks.share:.1%} of it in {look.blocks} blocks against {held}"
        text += f", which show with {look.chance:.0%} that its gain comes from blocks left out"
        case.note_check(waiting.shape, inputs.family, inputs.seed, text, errors, stand_in=True)
        return correctness.rule(errors, f"{waiting.shape}, {inputs.family} inputs, sampled against {held}")


def _gain(case: Case) -> float:
    return 1 - (case.ratio or 1.0)
