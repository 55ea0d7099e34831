"""Cost by measurement: candidate and incumbent timed in pairs on a device, as programs, without their Python."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cairn.judge.case import Case
from cairn.judge.correctness import Wire
from cairn.judge.examiner import Examiner
from cairn.judge.programs import Programs
from cairn.judge.protocol import Oracle, Runner
from cairn.judge.timing import Timing, TimingPlan, measure
from cairn.judge.verdict import Ruling, geometric_mean, ruling_of_failure
from cairn.problem import Problem
from cairn.worker_process import WorkerFailure

_INPUT_SETS = 3
PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


class _WrongAnswer(Exception):
    """What was timed is not what was asked for."""

    def __init__(self, ruling: Ruling) -> None:
        super().__init__(ruling.detail)
        self.ruling = ruling


class MeasuredCost:
    """The stages that follow correctness when the target is a device."""

    def __init__(
        self, problem: Problem, oracle: Oracle, examiner: Examiner, programs: Programs, python: Path
    ) -> None:
        self._bench = problem.shapes.bench
        self._families = problem.families
        self._oracle = oracle
        self._examiner = examiner
        self._programs = programs
        self._python = python
        self._platform = programs.platform

    def stages(self, progress: Callable[[str, str], None]) -> dict[str, Callable[[Case, Runner], Ruling | None]]:
        """Time and decide, in this order."""
        return {"time": lambda case, runner: self._time(case, runner, progress), "decide": self._decide}

    def environment(self) -> dict[str, Any]:
        """The platform; the device itself is in each timing's record."""
        return {"platform": self._platform}

    def _time(self, case: Case, runner: Runner, progress: Callable[[str, str], None]) -> Ruling | None:
        theirs = self._programs.lower_alone(case.incumbent, self._bench)
        if isinstance(theirs, Ruling):
            return Ruling("incumbent_unfit", f"`{case.incumbent.name}`: {theirs.reason}: {theirs.detail}")
        plan = TimingPlan() if case.margin is None else TimingPlan(threshold=case.margin)
        case.margin = plan.threshold
        for index in range(len(self._bench)):
            progress("time", f"shape {index + 1} of {len(self._bench)}")
            mine = self._programs.lower(case.variant, runner, self._bench[index])
            if isinstance(mine, Ruling):
                return mine
            try:
                case.timings.append(self._measure(index, (theirs[index], mine), plan, case))
            except WorkerFailure as failure:
                return ruling_of_failure(failure, "runtime_error")
            except _WrongAnswer as wrong:
                return wrong.ruling
        return None

    def _measure(self, index: int, programs: tuple[bytes, bytes], plan: TimingPlan, case: Case) -> Timing:
        shape = self._bench[index]
        drawn = [(secrets.randbits(31), secrets.choice(self._families)) for _ in range(_INPUT_SETS)]
        case.seeds += [seed for seed, _ in drawn]

        def check(chosen: int, outputs: Sequence[Wire]) -> None:
            seed, family = drawn[chosen]
            ruling = self._examiner.verify_timed(case, outputs, self._oracle.draw(seed, shape, family))
            if ruling is not None:
                raise _WrongAnswer(ruling)

        sets = [self._oracle.inputs(seed, shape, family) for seed, family in drawn]
        return measure(self._python, self._platform, programs, sets, plan, check)

    def _decide(self, case: Case, runner: Runner) -> Ruling | None:
        """KEEP needs every shape to be settled as faster; one shape that is slower is enough to discard."""
        del runner
        alpha = case.timings[0].plan.alpha
        case.ratio = geometric_mean([timing.candidate_us / timing.incumbent_us for timing in case.timings])
        text = f"{case.ratio:.3f} of the incumbent's measured time, threshold {case.margin:.1%}"
        if any(timing.slower.reached(alpha) for timing in case.timings):
            return Ruling("slower", text)
        if all(timing.faster.reached(alpha) for timing in case.timings):
            return Ruling("faster", text)
        least = max(timing.least_effect for timing in case.timings)
        return Ruling("within_margin", f"{text}; a gain below {least:.1%} would go unseen here")
