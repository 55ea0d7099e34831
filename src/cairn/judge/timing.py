"""Paired timing of two programs on a device, in fresh processes, until the evidence is in or the cap is reached.

Candidate and incumbent run one after the other in each pair, in random order, on inputs drawn at random from fresh
sets; what is compared is the log of their ratio, so that a drift of the machine's speed hits both. Compilation and
placement in memory differ between processes, so each fresh process is one witness (`cairn.judge.evidence`).
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cairn.judge import evidence
from cairn.judge.clock import SLOW_S
from cairn.judge.correctness import Wire
from cairn.judge.evidence import Evidence
from cairn.judge.timing_plan import InputSet, TimingDevice, TimingPlan
from cairn.judge.witness import Witness, hear

_LEAST_PROCESSES = 3
# slower by this factor in every one of so many pairs, each call long enough to outlast what a neighbour does
_PLAIN, _PLAIN_PAIRS = 2.0, 3


@dataclass
class Timing:
    """Everything measured: raw samples in seconds, (incumbent, candidate), one list for each process."""

    plan: TimingPlan
    samples: list[list[tuple[float, float]]] = field(default_factory=list)
    repeats: list[int] = field(default_factory=list)
    device: dict[str, Any] = field(default_factory=dict)
    timed_share: list[float] = field(default_factory=list)  # of the judge's own wall clock, by process
    own_clock_s: list[tuple[float, float] | None] = field(
        default_factory=list
    )  # (incumbent, candidate), by process
    trace: dict[str, Any] | None = None  # the device's own account, where it was asked

    def add(self, witness: Witness) -> None:
        """Take in what one process showed."""
        self.samples.append(witness.samples)
        self.repeats.append(witness.repeats)
        self.device = witness.device
        self.timed_share.append(witness.timed_share)
        self.own_clock_s.append(witness.own_clock_s)

    @property
    def ratios(self) -> list[list[float]]:
        """Log-ratios candidate / incumbent, by process."""
        return [[math.log(mine / theirs) for theirs, mine in process] for process in self.samples]

    @property
    def faster(self) -> Evidence:
        return evidence.faster(self.ratios, self.plan.threshold)

    @property
    def slower(self) -> Evidence:
        return evidence.slower(self.ratios, self.plan.threshold)

    @property
    def level(self) -> float:
        """The level of evidence that a keep needs: the plan's, or a stricter one where equal code could look so."""
        return self.plan.alpha if evidence.stands_apart(self.ratios) else self._noisy_level

    @property
    def _noisy_level(self) -> float:
        plan = self.plan
        return evidence.level_for(self.spread, plan.threshold, plan.alpha, plan.processes)

    @property
    def is_faster(self) -> bool:
        """Whether the evidence is in that the candidate is faster."""
        return self.faster.reached(self.level)

    @property
    def is_slower(self) -> bool:
        """Whether it is in that the candidate is slower; nothing is kept on that, so noise asks for no more."""
        return self.is_plainly_slower or self.slower.reached(self.plan.alpha)

    @property
    def is_plainly_slower(self) -> bool:
        """Whether every pair of long calls says so by a factor that no noise lasts long enough to explain."""
        pairs = [pair for process in self.samples for pair in process]
        return len(pairs) >= _PLAIN_PAIRS and all(mine > max(_PLAIN * theirs, SLOW_S) for theirs, mine in pairs)

    @property
    def ratio(self) -> float:
        """The median over processes of the median ratio candidate / incumbent."""
        return math.exp(statistics.median(statistics.median(process) for process in self.ratios))

    @property
    def incumbent_us(self) -> float:
        return 1e6 * statistics.median(theirs for process in self.samples for theirs, _ in process)

    @property
    def candidate_us(self) -> float:
        return 1e6 * statistics.median(mine for process in self.samples for _, mine in process)

    @property
    def least_effect(self) -> float:
        """The relative gain that a full run of this plan would detect four times out of five."""
        plan = self.plan
        return evidence.least_effect(self.spread, plan.threshold, self._noisy_level, plan.processes)

    @property
    def spread(self) -> float:
        """How far the median log-ratios of processes scatter."""
        return evidence.spread_of(self.ratios)

    def record(self) -> dict[str, Any]:
        _, low, high = evidence.interval(self.ratios)
        return {
            "plan": vars(self.plan),
            "device": self.device,
            "incumbent_us": self.incumbent_us,
            "candidate_us": self.candidate_us,
            "ratio": self.ratio,
            "ratio_low": low,
            "ratio_high": high,
            "process_ratios": [math.exp(statistics.median(process)) for process in self.ratios],
            "wealth_faster": self.faster.wealth,
            "wealth_slower": self.slower.wealth,
            "wealth_needed": 1 / self.level,
            "process_spread": self.spread,
            "least_detectable_effect": self.least_effect,
            "repeats": self.repeats,
            "timed_share": self.timed_share,
            "device_trace": self.trace,
            "judges_clock_us": [pair and [round(1e6 * each, 3) for each in pair] for pair in self.own_clock_s],
            "samples_s": [
                [[round(seconds, 9) for seconds in pair] for pair in process] for process in self.samples
            ],
        }


def measure(
    device: TimingDevice,
    programs: tuple[bytes, bytes],
    inputs: Sequence[InputSet],
    plan: TimingPlan,
    check: Callable[[int, Sequence[Wire]], None],
    progress: Callable[[Timing], None] = lambda timing: None,
) -> Timing:
    """Time candidate against incumbent.

    Args:
        programs: (incumbent, candidate), serialised for the device's platform.
        inputs: input sets; pairs draw from them.
        check: told the set and the candidate's timed outputs once per process; raises when they are wrong.
        progress: told what is known after each process.

    Raises:
        WorkerFailure: the candidate failed or did not end in time.
        ClockDisagreement: the timer's sum of samples does not fit the judge's clock.
        FarSlower: a call of the candidate takes so much longer that more of them would tell nothing.
        IncumbentFails: there is nothing to compare with.
    """
    timing, started = Timing(plan), time.monotonic()
    while len(timing.samples) < plan.processes:
        earlier_s = (timing.incumbent_us / 1e6, timing.candidate_us / 1e6) if timing.samples else (0.0, 0.0)
        timing.add(hear(device, programs, inputs, plan, check, earlier_s))
        progress(timing)
        if plan.decide and timing.is_plainly_slower:
            break
        if plan.decide and len(timing.samples) >= _LEAST_PROCESSES and is_settled(timing):
            break
        late = time.monotonic() - started > plan.shape_s
        if plan.decide and late and len(timing.samples) >= evidence.fewest(plan.alpha):
            break
    return timing


def is_settled(timing: Timing) -> bool:
    """Whether more samples would not change the decision: faster, slower, or equal within the threshold."""
    if timing.is_faster or timing.is_slower:
        return True
    _, low, high = evidence.interval(timing.ratios)
    return 1 - timing.plan.threshold < low and high < 1 / (1 - timing.plan.threshold)
