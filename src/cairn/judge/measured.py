"""Cost by measurement: candidate and incumbent timed in pairs on a device, as programs, without their Python."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from cairn.errors import BadInput
from cairn.judge import tracing
from cairn.judge.calibration import ALPHA, Calibration, share_of
from cairn.judge.case import Case
from cairn.judge.clock import ClockDisagreement
from cairn.judge.correctness import Wire
from cairn.judge.examiner import Examiner, TimedInputs
from cairn.judge.executors import DeviceExecutor
from cairn.judge.first_calls import FarSlower, IncumbentFails
from cairn.judge.programs import Programs
from cairn.judge.protocol import Oracle, Runner, VariantSource
from cairn.judge.timing import Timing, measure
from cairn.judge.timing_plan import TimingPlan
from cairn.judge.verdict import Ruling, geometric_mean, ruling_of_failure
from cairn.problem import Problem
from cairn.worker_process import WorkerFailure

_INPUT_SETS = 3
# input sets so large that making and moving them would take longer than the calls: two still leave a choice
_LARGE_BYTES, _LARGE_INPUT_SETS = 2**28, 2


class _WrongAnswer(Exception):
    """What was timed is not what was asked for."""

    def __init__(self, ruling: Ruling) -> None:
        super().__init__(ruling.detail)
        self.ruling = ruling


class MeasuredCost:
    """The stages that follow correctness when the target is a device.

    `calibration`: what identical code showed here, once somebody has asked; decisions then respect it.
    """

    def __init__(
        self, problem: Problem, oracle: Oracle, examiner: Examiner, programs: Programs, device: DeviceExecutor
    ) -> None:
        self._bench = problem.shapes.bench
        self._families = problem.families
        self._path = problem.variant(problem.baseline)
        self._baseline = VariantSource.read(self._path)
        self._oracle = oracle
        self._examiner = examiner
        self._programs = programs
        self._executor = device
        self._timed_on = device.timed_on
        self._device = device.device()
        self.calibration: Calibration | None = None

    def stages(self, progress: Callable[[str, str], None]) -> dict[str, Callable[[Case, Runner], Ruling | None]]:
        """Time and decide, in this order."""
        return {"time": lambda case, runner: self._time(case, runner, progress), "decide": self._decide}

    def trace(self, case: Case, runner: Runner) -> Ruling | None:
        """Before a KEEP: the device's own account of the headline shape, where it gives one."""
        theirs = self._programs.lower_alone(case.incumbent, self._bench[:1])
        mine = self._programs.lower_all(case.variant, runner, self._bench[:1])
        assert isinstance(theirs, list)  # both have been timed
        assert isinstance(mine, list)
        inputs = self._draw(0)[0]
        timing = case.timings[0]
        timing.trace = tracing.check(
            self._timed_on.python,
            self._timed_on.platform,
            [*theirs, *mine],
            (inputs.specs, inputs.blobs),
            (timing.incumbent_us, timing.candidate_us),
        )
        return Ruling("clock_disagrees", timing.trace["why"]) if timing.trace["agrees"] is False else None

    def prepare(self, programs: Sequence[bytes]) -> None:
        """Nothing can be timed ahead: the machine has to be idle."""

    def abandon(self) -> None:
        """Nothing was begun."""

    def environment(self) -> dict[str, Any]:
        """The machine and the device: a number measured on another one is no baseline here."""
        return dict(self._device)

    def calibrate(self, processes: int, progress: Callable[[str], None]) -> Calibration:
        """Time the baseline against itself at every bench shape, in fresh processes; about two seconds for each.

        Raises:
            BadInput: the baseline cannot be lowered or timed.
        """
        programs = self._programs.lower_alone(self._baseline, self._bench)
        if isinstance(programs, Ruling):
            raise BadInput(f"the baseline does not lower: {programs.reason}: {programs.detail}", path=self._path)
        plan = TimingPlan(processes=processes, decide=False)
        timings = []
        for index, program in enumerate(programs):
            progress(f"shape {index + 1} of {len(self._bench)}: identical code in {processes} processes")
            sets = [(inputs.specs, inputs.blobs) for inputs in self._draw(index)]
            try:
                timings.append(
                    measure(self._timed_on, (program, program), sets, plan, lambda chosen, outputs: None)
                )
            except (WorkerFailure, IncumbentFails, FarSlower, ClockDisagreement) as error:
                raise BadInput(f"the baseline cannot be timed: {error}", path=self._path) from error
        return Calibration.from_timings(self._bench, timings)

    def _time(self, case: Case, runner: Runner, progress: Callable[[str, str], None]) -> Ruling | None:
        theirs = self._programs.lower_alone(case.incumbent, self._bench)
        if isinstance(theirs, Ruling):
            return Ruling("incumbent_unfit", f"`{case.incumbent.name}`: {theirs.reason}: {theirs.detail}")
        mine = self._programs.lower_all(case.variant, runner, self._bench)
        if isinstance(mine, Ruling):
            return mine
        refused = self._vet(theirs)
        if refused is not None:
            return Ruling("incumbent_unfit", f"`{case.incumbent.name}`: {refused.reason}: {refused.detail}")
        refused = self._vet(mine)
        if refused is not None:
            return refused
        # what the variant has left running could slow one program more than the other
        runner.close()
        return self._time_all(case, list(zip(theirs, mine, strict=True)), progress)

    def _time_all(
        self, case: Case, pairs: Sequence[tuple[bytes, bytes]], progress: Callable[[str, str], None]
    ) -> Ruling | None:
        """One shape after the other; where one is slower, the others could not change the verdict."""
        plan = self._plan(case)
        for index, pair in enumerate(pairs):
            progress("time", f"shape {index + 1} of {len(self._bench)}")
            try:
                case.timings.append(self._measure(index, pair, plan, case, progress))
            except FarSlower as found:
                case.facts["far_slower"] = {"shape": self._bench[index], **found.record()}
                return Ruling("slower", str(found))
            except IncumbentFails as failure:
                return Ruling("incumbent_unfit", f"`{case.incumbent.name}`, timed: {failure}"[:600])
            except WorkerFailure as failure:
                return ruling_of_failure(failure, "runtime_error")
            except ClockDisagreement as error:
                return Ruling("clock_disagrees", str(error))
            except _WrongAnswer as wrong:
                return wrong.ruling
            if case.timings[-1].is_slower:
                break
        return None

    def _vet(self, programs: Sequence[bytes]) -> Ruling | None:
        """Why one of these must not be run outside of a locked-in process, if so."""
        return next((refused for program in programs if (refused := self._executor.vet(program))), None)

    def _plan(self, case: Case) -> TimingPlan:
        """The threshold and the error rate of this decision; both go into the receipt."""
        wanted = TimingPlan.threshold if case.margin is None else case.margin
        alpha = share_of(ALPHA, case.number)
        case.margin = wanted
        if self.calibration is not None:
            case.margin = self.calibration.threshold(wanted, alpha)
            case.calibration = self.calibration.record(wanted, alpha)
        return TimingPlan.spending(alpha, case.margin)

    def _measure(
        self,
        index: int,
        programs: tuple[bytes, bytes],
        plan: TimingPlan,
        case: Case,
        progress: Callable[[str, str], None],
    ) -> Timing:
        timed = self._draw(index)
        case.seeds += [inputs.seed for inputs in timed]

        right: set[tuple[int, str]] = set()

        def check(chosen: int, outputs: Sequence[Wire]) -> None:
            answer = (chosen, _digest(outputs))
            if answer in right:  # another process gave the same, bit for bit
                return
            ruling = self._examiner.verify_timed(case, outputs, timed[chosen])
            if ruling is not None:
                raise _WrongAnswer(ruling)
            right.add(answer)

        def tell(timing: Timing) -> None:
            processes = f"{len(timing.samples)} of at most {plan.processes} processes"
            progress("time", f"shape {index + 1} of {len(self._bench)}: {processes}, ratio {timing.ratio:.3f}")

        sets = [(inputs.specs, inputs.blobs) for inputs in timed]
        return measure(self._timed_on, programs, sets, plan, check, tell)

    def _draw(self, index: int) -> list[TimedInputs]:
        """Fresh inputs of a bench shape."""
        shape = self._bench[index]
        sets: list[TimedInputs] = []
        while len(sets) < _INPUT_SETS:
            seed, family = secrets.randbits(31), secrets.choice(self._families)
            sets.append(TimedInputs(seed, shape, family, *self._oracle.inputs(seed, shape, family)))
            if len(sets) == _LARGE_INPUT_SETS and sum(map(len, sets[0].blobs)) > _LARGE_BYTES:
                break
        return sets

    def _decide(self, case: Case, runner: Runner) -> Ruling | None:
        """KEEP needs every shape to be settled as faster; one shape that is slower is enough to discard."""
        del runner
        case.ratio = geometric_mean([timing.ratio for timing in case.timings])
        text = f"{case.ratio:.3f} of the incumbent's measured time, threshold {case.margin:.1%}"
        if any(timing.is_slower for timing in case.timings):
            return Ruling("slower", text)
        if all(timing.is_faster for timing in case.timings):
            return Ruling("faster", text)
        least = max(timing.least_effect for timing in case.timings)
        return Ruling("within_margin", f"{text}; a gain below {least:.1%} would go unseen here")


def _digest(outputs: Sequence[Wire]) -> str:
    """What tells outputs from any others: types, shapes and bytes."""
    found = hashlib.sha256()
    for output in outputs:
        found.update(f"{output.dtype} {output.shape} {len(output.data)}\n".encode())
        found.update(output.data)
    return found.hexdigest()
