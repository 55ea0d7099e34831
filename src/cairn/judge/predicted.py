"""Cost by prediction: compile every bench shape with the real compiler, price it, hold it against physics."""

from collections.abc import Callable, Sequence
from typing import Any

from cairn.judge import physics
from cairn.judge.case import Case
from cairn.judge.physics import Floors
from cairn.judge.prices import Price
from cairn.judge.pricing import Pricer, program_hash
from cairn.judge.programs import Programs
from cairn.judge.protocol import Oracle, Runner
from cairn.judge.verdict import Ruling, rule_on_cost
from cairn.problem import Problem, Shape
from cairn.roofline import Chip
from cairn.worker_process import WorkerFailure

# of the time at the shape where kernels do most
_LEAST_IN_KERNELS = 0.1


class PredictedCost:
    """The stages that follow correctness when the target is a chip without a device."""

    def __init__(self, problem: Problem, chip: Chip, oracle: Oracle, programs: Programs, pricer: Pricer) -> None:
        self._bench = problem.shapes.bench
        self._wants_kernels = problem.kernel_calls > 0
        self._programs = programs
        self._pricer = pricer
        dtype = next(iter(problem.outputs.values()))
        self._floors: list[Floors] = [physics.floors_of(chip, oracle.cost(shape), dtype) for shape in self._bench]

    def stages(self, progress: Callable[[str, str], None]) -> dict[str, Callable[[Case, Runner], Ruling | None]]:
        """Compile, physics and decide, in this order."""
        return {
            "compile": lambda case, runner: self._compile(case, runner, progress),
            "physics": self._physics,
            "decide": self._decide,
        }

    def prepare(self, programs: Sequence[bytes]) -> None:
        """Let the compiler begin while the judge checks whether these programs are right."""
        for program in programs:
            self._pricer.prefetch(program)

    def abandon(self) -> None:
        """No price is wanted any more."""
        self._pricer.abandon()

    def environment(self) -> dict[str, Any]:
        """What a price depends on besides the program."""
        return dict(self._pricer.versions())

    def _compile(self, case: Case, runner: Runner, progress: Callable[[str, str], None]) -> Ruling | None:
        """Compile and price every bench shape; one that fails means CRASH, whatever the others cost."""
        for index, shape in enumerate(self._bench):
            progress("compile", f"shape {index + 1} of {len(self._bench)}")
            program = self._programs.lower(case.variant, runner, shape)
            if isinstance(program, Ruling):
                return program
            if index:
                case.programs.append(program_hash(program))
            price = self._pricer.price(program)
            if isinstance(price, Ruling):
                return self._located(price, runner, shape)
            case.prices.append(price)
        refused = next((price.refused for price in case.prices if price.us is None), None)
        return Ruling("prediction_refused", refused) if refused is not None else self._idle_kernels(case)

    def _idle_kernels(self, case: Case) -> Ruling | None:
        """Kernels that a problem asks for have to do some of the work, and not be there for show."""
        share = max(price.in_kernels for price in case.prices)
        if not self._wants_kernels or case.purpose == "anchor" or share >= _LEAST_IN_KERNELS:
            return None
        return Ruling("no_kernel", f"{share:.1%} of the predicted time is spent in kernels")

    def _located(self, ruling: Ruling, runner: Runner, shape: Shape) -> Ruling:
        """The same refusal with the kernel's own line in it, when the compiler can name it."""
        try:
            again = self._pricer.price(runner.export(self._programs.specs(shape), locations=True))
        except WorkerFailure:
            return ruling
        return again if isinstance(again, Ruling) and again.reason == ruling.reason else ruling

    def _physics(self, case: Case, runner: Runner) -> Ruling | None:
        del runner
        case.floors = self._floors
        for price, floors, shape in zip(case.prices, self._floors, self._bench, strict=True):
            assert price.us is not None
            ruling = physics.rule(price.us, floors, str(shape))
            if ruling is not None:
                return ruling
        return None

    def _decide(self, case: Case, runner: Runner) -> Ruling | None:
        del runner
        programs = self._programs.lower_alone(case.incumbent, self._bench)
        if isinstance(programs, Ruling):
            return Ruling("incumbent_unfit", f"`{case.incumbent.name}`: {programs.reason}: {programs.detail}")
        priced = [self._pricer.price(program) for program in programs]
        case.incumbent_prices = [price for price in priced if isinstance(price, Price)]
        mine = [price.us for price in case.prices if price.us is not None]
        theirs = [price.us for price in case.incumbent_prices if price.us is not None]
        if len(theirs) != len(mine):
            why = next((price.refused for price in case.incumbent_prices if price.refused), "it does not compile")
            return Ruling("incumbent_unfit", f"`{case.incumbent.name}` has no price: {why}")
        if case.margin is None:
            case.margin = max(price.half_width for price in (*case.prices, *case.incumbent_prices))
        ruling, case.ratio = rule_on_cost(mine, theirs, case.margin)
        return ruling
