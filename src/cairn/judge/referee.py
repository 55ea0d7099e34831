"""The judge: one variant in, one ruling out, cheap stages before dear ones, stopping at the first that fails.

    frozen -> load -> live -> correct -> compile -> physics -> decide -> beyond -> confirm     a chip, predicted
    frozen -> load -> live -> correct -> beyond -> time -> decide -> trace                      a device, measured

A variant lives in a process of its own that gets inputs and gives outputs; what it prints or claims is a log.
Seeds, truth and tolerance are the examiner's; programs are compiled and priced where no variant's Python is. What
this does not cover yet is listed in `docs/judge.md`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from cairn import __version__
from cairn.judge.audit import audit, summary
from cairn.judge.baseline import Baseline
from cairn.judge.baseline_executor import BaselineExecutor
from cairn.judge.baseline_programs import BaselinePrograms, lowering_ground
from cairn.judge.calibration import PROCESSES, Calibration
from cairn.judge.case import Case
from cairn.judge.confirming import Confirmer
from cairn.judge.draws import BenchDraws
from cairn.judge.examiner import Examiner
from cairn.judge.executors import DeviceExecutor, ReplayExecutor
from cairn.judge.lowered import done_of
from cairn.judge.measured import MeasuredCost
from cairn.judge.own_families import OwnFamilies
from cairn.judge.predicted import PredictedCost
from cairn.judge.prices import KeptPrices
from cairn.judge.pricing import Pricer, compilers_at_once, program_hash
from cairn.judge.programs import Programs
from cairn.judge.protocol import JudgeLimits, Oracle, Runner, SeenDevice, VariantSource
from cairn.judge.reading import Reader
from cairn.judge.selftest import SelfTest
from cairn.judge.spare import Spare
from cairn.judge.timing_plan import PLATFORMS
from cairn.judge.verdict import Ruling, Verdict, ruling_of_failure
from cairn.lab.cache import default_cache
from cairn.lab.lowering import DEVICES
from cairn.lab.service import CompileService
from cairn.problem import Problem, Shape
from cairn.roofline import Target
from cairn.worker_process import WorkerFailure, warm

Stage = Callable[[Case, Runner], Ruling | None]


class Judge:
    """Judges variants of one problem for one target; trusted helpers stay warm between judgements.

    Args:
        problem: the problem, from a tree that no agent writes to.
        target: where cost is predicted.
        python: interpreter with jax and libtpu.
        trust_interpreter: accept a variant whose lowered program cannot be replayed on the interpreter's word.
        on_stage: called with a stage's name and a line of text, for progress.
    """

    def __init__(
        self,
        problem: Problem,
        target: Target,
        *,
        python: Path,
        limits: JudgeLimits | None = None,
        trust_interpreter: bool = False,
        on_stage: Callable[[str, str], None] = lambda stage, text: None,
    ) -> None:
        self.problem = problem
        self.target = target
        self._python = python
        self._limits = limits or JudgeLimits()
        self._trust_interpreter = trust_interpreter
        self._on_stage = on_stage
        self._frozen_hash = problem.frozen_hash()
        self._stack = ExitStack()
        device = DEVICES.get(target.chip_name)
        self._device = SeenDevice(*device) if device else None
        self._spare = Spare(self._start)

    def __enter__(self) -> "Judge":
        for role in ("candidate", "replay"):  # their packages are imported beside all that follows
            warm(self._python, role)
        with ExitStack() as stack:
            self._executor = self._open_executor()
            stack.callback(self._executor.close)
            oracle = Oracle(self.problem, self._python)
            stack.callback(oracle.close)
            self._executor.replayer.prepare()
            stack.callback(self._spare.close)
            self._spare.prepare()
            self._programs = self._open_programs(oracle)
            stack.callback(self._programs.close)
            self._open_examiner(oracle, stack)
            self._reader = Reader(self.problem, oracle, self._executor.replayer, self._platform())
            self._own_families = OwnFamilies(self.problem, oracle, self._programs, self._executor, self._baseline)
            self.self_test = SelfTest(self.problem, oracle, self._programs, self._executor)
            self._isolation = self._spare.isolation()
            self._cost = self._measured(oracle) if self.target.measured else self._predicted(oracle, stack)
            self._stack = stack.pop_all()  # nothing failed: keep all of them open
        return self

    def _open_examiner(self, oracle: Oracle, stack: ExitStack) -> None:
        """Who checks, with the baseline and its process, and who draws for the last look."""
        problem, programs, executor = self.problem, self._programs, self._executor
        beside = executor
        if isinstance(executor, ReplayExecutor):
            beside = BaselineExecutor(self._python, self._limits, default_cache())
            beside.replayer.prepare()
        self._baseline = Baseline(problem, programs, beside)
        stack.callback(self._baseline.close)
        programs.begin_alone(problem.shapes.bench)
        self._baseline.prepare(self._checked_shapes())
        trust = self._trust_interpreter
        self._examiner = Examiner(problem, oracle, programs, executor, self._baseline, trust_interpreter=trust)
        self._confirmer: Confirmer | None = None
        if isinstance(executor, ReplayExecutor):
            draws = BenchDraws(problem, self._python, default_cache())
            stack.callback(draws.close)
            self._confirmer = Confirmer(problem, programs, executor, self._examiner, self._baseline, draws)

    def _checked_shapes(self) -> list[Shape]:
        return [*self.problem.shapes.check, *self.problem.shapes.heldout]

    def _open_programs(self, oracle: Oracle) -> Programs:
        source = VariantSource.read(self.problem.variant(self.problem.baseline))
        ground = lowering_ground(self._python, self.target.name)
        platform = self._platform()
        baseline = BaselinePrograms(source, self._start, platform, cache=default_cache(), ground=ground)
        return Programs(oracle, self._spare.take, platform, baseline)

    def _start(self) -> Runner:
        return Runner(self._python, self._limits, self._device)

    def _platform(self) -> str:
        kind = "tpu" if self.target.chip_name.startswith("tpu") else self.target.chip_name.split("-")[0]
        return PLATFORMS[kind]

    def _open_executor(self) -> ReplayExecutor | DeviceExecutor:
        if self.target.measured:
            return DeviceExecutor(self._python, self._platform(), self._limits)
        return ReplayExecutor(self._python, self._limits)

    def _predicted(self, oracle: Oracle, stack: ExitStack) -> PredictedCost:
        assert self.target.chip is not None
        services = [
            stack.enter_context(CompileService(self._python, cache=default_cache()))
            for _ in range(compilers_at_once(len(self.problem.shapes.bench)))
        ]
        given = [each for each in map(oracle.given, self.problem.shapes.bench) if each is not None]
        pricer = Pricer(services, self.target.name, self._limits.compile_s, given, KeptPrices(default_cache()))
        stack.callback(pricer.close)
        return PredictedCost(self.problem, self.target.chip, oracle, self._programs, pricer)

    def _measured(self, oracle: Oracle) -> MeasuredCost:
        assert isinstance(self._executor, DeviceExecutor)
        return MeasuredCost(self.problem, oracle, self._examiner, self._programs, self._executor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def judge(
        self,
        variant: VariantSource,
        incumbent: VariantSource | None = None,
        margin: float | None = None,
        *,
        known: Ruling | None = None,
        anchor: bool = False,
        number: int | None = None,
    ) -> Case:
        """Judge one variant against an incumbent (the problem's baseline when none is given).

        Args:
            margin: relative gain in predicted cost that counts; None takes the uncertainty of the predictions.
            known: a ruling that the caller has come to already (a frozen file was edited); nothing is run then.
            anchor: price a fixed point; it may lower to the incumbent's own program.
            number: how many-eth candidate of its climb this is; the error rate of a climb is shared out by it.

        Raises:
            BadInput: the problem itself is broken (reference, baseline, tolerance).
            Missing: the worker's interpreter lacks what it needs.
        """
        purpose = "anchor" if anchor else "decision"
        return self._judge(
            Case(variant, incumbent or self._baseline.source, margin, purpose, number, known), known
        )

    def check(self, variant: VariantSource) -> Case:
        """Whether anything speaks against a variant, whatever it costs: `ruling` stays None when nothing does."""
        case = Case(variant, self._baseline.source, purpose="anchor")
        with self._judging() as runner:
            self._through({**self._first_stages(), "beyond": self._beyond}, case, runner)
        return case

    def confirm(self, champion: VariantSource, original: VariantSource, margin: float | None = None) -> Case:
        """The champion against the original baseline, with fresh seeds: only this number may be quoted."""
        return self._judge(Case(champion, original, margin, "confirmation"), None)

    def calibrate(self, processes: int = PROCESSES) -> Calibration | None:
        """Time the baseline against itself; every later judgement uses and shows what was found.

        None for a predicted target, whose cost has no noise.

        Raises:
            BadInput: the baseline cannot be timed.
        """
        if isinstance(self._cost, MeasuredCost):
            self._on_stage("calibrate", "")
            self._cost.calibration = self._cost.calibrate(
                processes, lambda text: self._on_stage("calibrate", text)
            )
            return self._cost.calibration
        return None

    def use(self, calibration: Calibration | None) -> None:
        """Take over what an earlier `calibrate` found in the same environment."""
        if isinstance(self._cost, MeasuredCost):
            self._cost.calibration = calibration

    def _judge(self, case: Case, known: Ruling | None) -> Case:
        if known is not None:
            case.note("frozen", 0.0, known)
            return case
        stages, before_keep = self._stages()
        with self._judging() as runner:
            self._through(stages, case, runner)
            if case.verdict is Verdict.KEEP and self._confirmer is not None:
                self._confirmer.begin(case, runner)
            for name, stage in before_keep.items():
                if case.verdict is Verdict.KEEP:
                    case.ruling = self._run(name, stage, case, runner) or case.ruling
            # frozen files are looked at again at the end: what was changed meanwhile spoils whatever was found
            case.ruling = self._run("frozen", self._frozen, case, runner) or case.ruling
        self._cost.abandon()
        self._spare.prepare()
        return case

    @contextmanager
    def _judging(self) -> Iterator[Runner]:
        """A process for one variant; what was begun for it and is not wanted any more ends first."""
        with self._spare.take() as runner:
            try:
                yield runner
            finally:
                self._programs.abandon(runner)
                if self._confirmer is not None:
                    self._confirmer.abandon()

    def _stages(self) -> tuple[dict[str, Stage], dict[str, Stage]]:
        """What is asked of every variant, and what only of one that would be kept."""
        first, cost = self._first_stages(), self._cost.stages(self._on_stage)
        if isinstance(self._cost, MeasuredCost):  # the clock takes longest, and the variant has to be gone by then
            return {**first, "beyond": self._beyond, **cost}, {"trace": self._cost.trace}
        return {**first, **cost}, {"beyond": self._beyond, "confirm": self._confirm}

    def _first_stages(self) -> dict[str, Stage]:
        return {"frozen": self._frozen, "load": self._load, "live": self._live, "correct": self._correct}

    def _through(self, stages: Mapping[str, Stage], case: Case, runner: Runner) -> None:
        """Stage after stage until one decides."""
        for name, stage in stages.items():
            case.ruling = self._run(name, stage, case, runner)
            if case.ruling is not None:
                return

    def _run(self, name: str, stage: Stage, case: Case, runner: Runner) -> Ruling | None:
        self._on_stage(name, "")
        started = time.monotonic()
        ruling = stage(case, runner)
        case.note(name, time.monotonic() - started, ruling)
        return ruling

    def _frozen(self, case: Case, runner: Runner) -> Ruling | None:
        del case, runner
        if self.problem.frozen_hash() != self._frozen_hash:
            return Ruling("frozen_changed", f"files of {self.problem.folder.name} changed while judging")
        return None

    def _load(self, case: Case, runner: Runner) -> Ruling | None:
        try:
            case.config = runner.load(case.variant)
            self._isolation = runner.isolation
        except WorkerFailure as failure:
            return ruling_of_failure(failure, "import_error")
        bench = self.problem.shapes.bench
        if not self.target.measured:  # beside a clock the variant's process has to rest
            self._programs.ahead(case.variant, runner, [*bench, *self._checked_shapes()])
            if case.incumbent.digest == self._baseline.source.digest:
                self._cost.prepare(done_of(self._programs.begin_alone(bench)))
        return None

    def _live(self, case: Case, runner: Runner) -> Ruling | None:
        """Lower the bench shapes: who gives the incumbent's programs changes nothing; then look into them."""
        bench = self.problem.shapes.bench
        theirs: list[bytes] = []
        for shape in bench:
            program = self._programs.lower(case.variant, runner, shape)
            if isinstance(program, Ruling):
                return program
            if shape is bench[0]:
                case.programs.append(program_hash(program))
                lowered = self._programs.lower_alone(case.incumbent, bench)
                theirs = lowered if isinstance(lowered, list) else []
                if self._same_programs(case, runner, program, theirs):
                    return Ruling("no_op", f"program {case.programs[0][:12]}")
            ruling = self._audit(case, program, shape)
            if ruling is not None:
                return ruling
            self._cost.prepare([program])
        if case.incumbent.digest != self._baseline.source.digest:
            refused = self._reader.refuse(theirs)
            if refused is not None:
                return Ruling("incumbent_unfit", f"`{case.incumbent.name}`: {refused.reason}: {refused.detail}")
        self._cost.prepare(theirs)
        return None

    def _same_programs(self, case: Case, runner: Runner, first: bytes, theirs: list[bytes]) -> bool:
        """Whether a variant is the incumbent in other words at every bench shape; anchors are compared anyway."""
        if case.purpose == "anchor" or theirs[:1] != [first]:
            return False
        return self._programs.lower_all(case.variant, runner, self.problem.shapes.bench) == theirs

    def _audit(self, case: Case, program: bytes, shape: Shape) -> Ruling | None:
        """Look into a lowered program for what no kernel has, and for products below the declared precision."""
        facts = self._reader.read(program)
        if isinstance(facts, Ruling):
            return facts
        case.facts = case.facts or summary(facts)
        platform = self._programs.platform
        wanted = 0 if case.purpose == "anchor" or platform != "tpu" else self.problem.kernel_calls
        alive = len(facts.live_kernels)
        ruling = audit(facts, self.problem.dots, platform) or self._reader.tables(facts, shape)
        if ruling is None and alive < wanted:
            text = f"{alive} of {len(facts.kernels)} kernel calls bear on an output; {wanted} wanted"
            return Ruling("no_kernel", text)
        return ruling

    def _correct(self, case: Case, runner: Runner) -> Ruling | None:
        return self._examiner.examine(case, runner, lambda text: self._on_stage("correct", text))

    def _beyond(self, case: Case, runner: Runner) -> Ruling | None:
        """Constants that are answers; inputs and a shape that the problem's author did not name."""
        shape = self.problem.shapes.check[0]
        program = self._programs.lower(case.variant, runner, shape)
        if isinstance(program, Ruling):
            return program
        ruling = self._reader.holds_answer(case, program, shape)
        if ruling is not None:
            return ruling
        priced = [each for each in self.problem.shapes.bench if self._examiner.quick(each)]
        return self._own_families.examine(case, runner, priced)

    def _confirm(self, case: Case, runner: Runner) -> Ruling | None:
        assert self._confirmer is not None
        return self._confirmer.confirm(case, runner, lambda text: self._on_stage("confirm", text))

    def fingerprint(self) -> dict[str, Any]:
        """What a number depends on besides the variant; a change of it means a new baseline."""
        return {
            "cairn": __version__,
            "target": self.target.name,
            "frozen": self._frozen_hash,
            "isolation": self._isolation.level,
            "baseline": self._baseline.source.digest,
            **self._cost.environment(),
        }
