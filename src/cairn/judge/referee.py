"""The judge: one variant in, one ruling out, cheap stages before dear ones, stopping at the first that fails.

    frozen -> load -> live -> correct -> compile -> physics -> decide

The referee holds what a variant must never hold: the oracle, the seeds (drawn after the variant is loaded), the
shapes to come, the tolerance, the prices and the verdict. A variant lives in a process of its own that gets inputs
and gives outputs; what it prints or claims is a log. Not covered yet: see `docs/judge.md`.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cairn import __version__
from cairn.errors import BadInput, Missing
from cairn.judge import correctness, physics
from cairn.judge.correctness import OutputError, Wire, decode
from cairn.judge.physics import Floors
from cairn.judge.pricing import Price, Pricer, program_hash
from cairn.judge.protocol import JudgeLimits, Oracle, Runner, Specs, VariantSource
from cairn.judge.verdict import Ruling, Verdict, rule_on_cost, ruling_of_failure
from cairn.lab.failures import classify
from cairn.lab.service import CompileService
from cairn.problem import Problem, Shape
from cairn.roofline import Target
from cairn.worker_process import WorkerFailure

STAGES = ("frozen", "load", "live", "correct", "compile", "physics", "decide")
OnStage = Callable[[str, str], None]


@dataclass
class Case:
    """Everything found about one variant so far; what the receipt is written from."""

    variant: VariantSource
    stages: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=dict)
    programs: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    prices: list[Price] = field(default_factory=list)
    floors: list[Floors] = field(default_factory=list)
    incumbent: VariantSource | None = None
    incumbent_prices: list[Price] = field(default_factory=list)
    ratio: float | None = None
    margin: float | None = None
    ruling: Ruling | None = None

    @property
    def verdict(self) -> Verdict:
        assert self.ruling is not None
        return self.ruling.verdict

    @property
    def cost_us(self) -> float | None:
        """Predicted microseconds at the headline shape, the first bench shape."""
        return self.prices[0].us if self.prices else None


class Judge:
    """Judges variants of one problem for one target; trusted helpers stay warm between judgements.

    Args:
        problem: the problem, from a tree that no agent writes to.
        target: where cost is predicted.
        python: interpreter with jax and libtpu.
        on_stage: called with a stage's name and a line of text, for progress.
    """

    def __init__(
        self,
        problem: Problem,
        target: Target,
        *,
        python: Path,
        limits: JudgeLimits | None = None,
        on_stage: OnStage = lambda stage, text: None,
    ) -> None:
        if target.measured or target.chip is None:
            hint = f"use {target.chip_name} to compile and predict" if target.chip else "use tpu-v5p"
            raise Missing(f"`{target.name}` needs timing on a device, which this version does not do", hint=hint)
        self.problem = problem
        self.target = target
        self._chip = target.chip
        self._python = python
        self._limits = limits or JudgeLimits()
        self._on_stage = on_stage
        self._frozen_hash = problem.frozen_hash()
        self._baseline = VariantSource.read(problem.variant(problem.baseline))
        self._programs: dict[str, list[bytes]] = {}
        self._specs: dict[int, Specs] = {}
        self._floors: list[Floors] = []
        self._open: list[Callable[[], None]] = []

    def __enter__(self) -> "Judge":
        self._oracle = Oracle(self.problem, self._python)
        self._open.append(self._oracle.close)
        self._baseline_runner = Runner(self._python, self._limits)
        self._open.append(self._baseline_runner.close)
        service = CompileService(self._python)
        service.__enter__()
        self._open.append(lambda: service.__exit__(None, None, None))
        self._pricer = Pricer(service, self.target.name, self._limits.compile_s)
        self._trusted("load", lambda: self._baseline_runner.load(self._baseline))
        dtype = next(iter(self.problem.outputs.values()))
        self._floors = [
            physics.floors_of(self._chip, self._oracle.cost(shape), dtype) for shape in self.problem.shapes.bench
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            self._open.pop()()

    def judge(
        self,
        variant: VariantSource,
        incumbent: VariantSource | None = None,
        margin: float | None = None,
        *,
        known: Ruling | None = None,
    ) -> Case:
        """Judge one variant against an incumbent (the problem's baseline when none is given).

        Args:
            margin: relative gain in predicted cost that counts; None takes the uncertainty of the predictions.
            known: a ruling that the caller has come to already (a frozen file was edited); nothing is run then.

        Raises:
            BadInput: the problem itself is broken (reference, baseline, tolerance).
            Missing: the worker's interpreter lacks what it needs.
        """
        case = Case(variant, incumbent=incumbent or self._baseline, margin=margin, ruling=known)
        if known is not None:
            stage = {"stage": "frozen", "s": 0.0, "verdict": known.verdict.value}
            case.stages.append({**stage, "reason": known.reason, "detail": known.detail})
            return case
        steps: list[tuple[str, Callable[[Case, Runner], Ruling | None]]] = [
            ("frozen", self._frozen),
            ("load", self._load),
            ("live", self._live),
            ("correct", self._correct),
            ("compile", self._compile),
            ("physics", self._physics),
            ("decide", self._decide),
            ("frozen", self._frozen),
        ]
        with Runner(self._python, self._limits) as runner:
            for name, step in steps:
                ruling = self._run(name, step, case, runner)
                if ruling is not None and (case.ruling is None or ruling.verdict is Verdict.INVALID):
                    case.ruling = ruling
                if case.ruling is not None and name != "decide":
                    break
        assert case.ruling is not None
        return case

    def _run(
        self, name: str, step: Callable[[Case, Runner], Ruling | None], case: Case, runner: Runner
    ) -> Ruling | None:
        started = time.monotonic()
        self._on_stage(name, "")
        ruling = step(case, runner)
        stage: dict[str, Any] = {"stage": name, "s": round(time.monotonic() - started, 3)}
        if ruling is not None:
            stage |= {"verdict": ruling.verdict.value, "reason": ruling.reason, "detail": ruling.detail}
        case.stages.append(stage)
        return ruling

    # stages, in order; each gives a ruling or None to go on

    def _frozen(self, case: Case, runner: Runner) -> Ruling | None:
        del case, runner
        if self.problem.frozen_hash() != self._frozen_hash:
            return Ruling("frozen_changed", f"files of {self.problem.folder.name} changed while judging")
        return None

    def _load(self, case: Case, runner: Runner) -> Ruling | None:
        try:
            case.config = runner.load(case.variant)
        except WorkerFailure as failure:
            return ruling_of_failure(failure, "import_error")
        return None

    def _live(self, case: Case, runner: Runner) -> Ruling | None:
        """Lower the headline shape: a variant that gives the incumbent's program changes nothing."""
        try:
            exported = runner.export(self._bench_specs(0))
        except WorkerFailure as failure:
            return _ruling_of_lowering(failure)
        case.programs.append(program_hash(exported))
        self._programs.setdefault(case.variant.digest, [exported])
        assert case.incumbent is not None
        theirs = self._exports(case.incumbent)
        if theirs is not None and program_hash(theirs[0]) == case.programs[0]:
            return Ruling("no_op", f"program {case.programs[0][:12]}")
        return None

    def _correct(self, case: Case, runner: Runner) -> Ruling | None:
        """Fresh inputs on every check shape and family, and on each held-out shape with one family at random."""
        shapes = self.problem.shapes
        plan = [(shape, family) for shape in shapes.check for family in self.problem.families]
        plan += [(shape, secrets.choice(self.problem.families)) for shape in shapes.heldout]
        for shape, family in plan:
            self._on_stage("correct", f"{len(case.seeds) + 1} of {len(plan)}")
            ruling = self._check(case, runner, shape, family)
            if ruling is not None:
                return ruling
        return None

    def _check(self, case: Case, runner: Runner, shape: Shape, family: str) -> Ruling | None:
        seed = secrets.randbits(31)
        case.seeds.append(seed)
        draw = self._oracle.draw(seed, shape, family)
        names, dtypes = list(self.problem.outputs), list(self.problem.outputs.values())
        try:
            outputs = runner.call(draw.specs, draw.blobs)
        except WorkerFailure as failure:
            return ruling_of_failure(failure, "runtime_error")
        ruling = correctness.check_form(outputs, draw.truth, names, dtypes)
        if ruling is not None:
            return ruling
        baseline = self._trusted("call", lambda: self._baseline_runner.call(draw.specs, draw.blobs))
        self._check_baseline(correctness.check_form(baseline, draw.truth, names, dtypes))
        errors = [
            correctness.compare(name, dtype, decode(mine), decode(theirs), truth, self.problem.tolerance)
            for name, dtype, mine, theirs, truth in zip(names, dtypes, outputs, baseline, draw.truth, strict=True)
        ]
        self._check_tolerance(errors, draw.where)
        case.checks.append(
            {"shape": shape, "family": family, "seed": seed, "outputs": [e.record() for e in errors]}
        )
        return correctness.rule(errors, draw.where)

    def _compile(self, case: Case, runner: Runner) -> Ruling | None:
        """Compile and price every bench shape; one that fails means no verdict but CRASH."""
        exports = self._programs[case.variant.digest]
        for index in range(1, len(self.problem.shapes.bench)):
            if len(exports) <= index:
                try:
                    exports.append(runner.export(self._bench_specs(index)))
                except WorkerFailure as failure:
                    return _ruling_of_lowering(failure)
                case.programs.append(program_hash(exports[index]))
        for index, exported in enumerate(exports):
            self._on_stage("compile", f"shape {index + 1} of {len(exports)}")
            price = self._pricer.price(exported)
            if isinstance(price, Ruling):
                return self._located(price, runner, index)
            case.prices.append(price)
        refused = next((price.refused for price in case.prices if price.us is None), None)
        return Ruling("prediction_refused", refused) if refused is not None else None

    def _located(self, ruling: Ruling, runner: Runner, index: int) -> Ruling:
        """The same refusal with the kernel's own line in it, when the compiler can name it."""
        try:
            again = self._pricer.price(runner.export(self._bench_specs(index), locations=True))
        except WorkerFailure:
            return ruling
        return again if isinstance(again, Ruling) and again.reason == ruling.reason else ruling

    def _physics(self, case: Case, runner: Runner) -> Ruling | None:
        del runner
        case.floors = self._floors
        for price, floors, shape in zip(case.prices, self._floors, self.problem.shapes.bench, strict=True):
            assert price.us is not None
            ruling = physics.rule(price.us, floors, str(shape))
            if ruling is not None:
                return ruling
        return None

    def _decide(self, case: Case, runner: Runner) -> Ruling | None:
        del runner
        assert case.incumbent is not None
        for exported in self._exports(case.incumbent) or []:
            price = self._pricer.price(exported)
            if isinstance(price, Price):
                case.incumbent_prices.append(price)
        theirs = [price.us for price in case.incumbent_prices if price.us is not None]
        mine = [price.us for price in case.prices if price.us is not None]
        if len(theirs) != len(mine):
            return Ruling("prediction_refused", f"`{case.incumbent.name}` has no price to compare with")
        if case.margin is None:
            case.margin = max(price.half_width for price in (*case.prices, *case.incumbent_prices))
        ruling, case.ratio = rule_on_cost(mine, theirs, case.margin)
        return ruling

    # what the stages need

    def _bench_specs(self, index: int) -> Specs:
        if index not in self._specs:
            self._specs[index] = self._oracle.specs(self.problem.shapes.bench[index])
        return self._specs[index]

    def _exports(self, variant: VariantSource) -> list[bytes] | None:
        """Programs of an incumbent at every bench shape, from a process of its own; None when it has none."""
        bench = self.problem.shapes.bench
        known = self._programs.get(variant.digest, [])
        if len(known) == len(bench):
            return known
        try:
            with Runner(self._python, self._limits) as runner:
                runner.load(variant)
                self._programs[variant.digest] = [runner.export(self._bench_specs(i)) for i in range(len(bench))]
        except WorkerFailure:
            return None
        return self._programs[variant.digest]

    def _trusted(self, what: str, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except WorkerFailure as failure:
            path = self.problem.variant(self.problem.baseline)
            if "No module named" in failure.detail and failure.reason == "exited":
                raise Missing(failure.detail, hint="pip install 'kernel-cairn[tpu]'") from failure
            raise BadInput(f"the baseline fails at `{what}`: {failure.detail[:800]}", path=path) from failure

    def _check_baseline(self, ruling: Ruling | None) -> None:
        if ruling is not None:
            raise BadInput(
                f"the baseline is broken: {ruling.detail}", path=self.problem.variant(self.problem.baseline)
            )

    def _check_tolerance(self, errors: Sequence[OutputError], where: str) -> None:
        """Outputs of zeros are off by exactly rms 1; a problem that would accept them judges nothing."""
        loose = next((error for error in errors if not error.allowed_rms < 0.5), None)
        if loose is not None:
            message = (
                f"on {where} `{loose.output}` may be off by {loose.allowed_rms:.2g} of its size: zeros would pass"
            )
            hint = "mend the baseline, or lower tolerance.multiple"
            raise BadInput(message, path=self.problem.folder / "problem.yaml", key="tolerance", hint=hint)

    def fingerprint(self) -> dict[str, Any]:
        """What a number depends on besides the variant; a change of it means a new baseline."""
        return {
            "cairn": __version__,
            "target": self.target.name,
            "chip": self._chip.device,
            "frozen": self._frozen_hash,
            "baseline": self._baseline.digest,
            **self._pricer.versions(),
        }


def _ruling_of_lowering(failure: WorkerFailure) -> Ruling:
    """Errors of lowering are the compiler's, met early: the same classes, the same hints."""
    if failure.reason != "raised":
        return ruling_of_failure(failure, "trace_error")
    error = failure.error
    found = classify(error.get("type", ""), error.get("message", ""), error.get("traceback", ""))
    where = f" ({found.source})" if found.source else ""
    reason = "trace_error" if found.kind == "compile_error" else found.kind
    return Ruling(reason, f"{found.line}{where}. {found.hint}")


__all__ = ["STAGES", "Case", "Judge", "Wire"]
