"""Paired timing of two programs on a device, in fresh processes, until the evidence is in or the cap is reached.

Candidate and incumbent run one after the other in each pair, in random order, on inputs drawn at random from fresh
sets; what is compared is the log of their ratio, so that a drift of the machine's speed hits both. Compilation and
placement in memory differ between processes, so each fresh process is one witness (`cairn.judge.evidence`).
"""

import contextlib
import math
import os
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cairn.judge import evidence
from cairn.judge.clock import ClockDisagreement, OwnClock
from cairn.judge.correctness import Wire
from cairn.judge.evidence import Evidence
from cairn.worker_process import WorkerProcess

InputSet = tuple[list[dict[str, Any]], list[bytes]]
_Samples = tuple[list[list[float]], float, tuple[float, float] | None]


@dataclass(frozen=True)
class TimingPlan:
    """How much to measure.

    Args:
        threshold: relative gain that counts. alpha: error rate of one decision.
        pairs: pairs in one process, fewer where a call is slow. processes: the cap on fresh processes.
        sample_s: how long one timed sample lasts at least; short calls are repeated until it does.
        process_s: about how long the pairs of one process may take in all.
        shape_s: after so long no more processes are started than could have settled it; what is open stays open.
        decide: stop when the decision is settled; else gather all processes, as a calibration does.
    """

    threshold: float = 0.01
    alpha: float = 0.05
    pairs: int = 400
    processes: int = 12
    sample_s: float = 5e-4
    process_s: float = 1.5
    shape_s: float = 180.0
    timeout_s: float = 300.0
    decide: bool = True

    @classmethod
    def spending(cls, alpha: float, threshold: float) -> "TimingPlan":
        """The plan of one decision at level `alpha`: a smaller one needs more processes, and room for dissent."""
        return cls(threshold=threshold, alpha=alpha, processes=2 * evidence.fewest(alpha) + 2)


# the first part of a target's chip -> the platform as jax names it
PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}
_LEAST_PROCESSES = 3
_LEAST_PAIRS = 5
_ROUNDS = 3
_LEAST_SHARE = 0.5  # the timer does nothing between samples
# where a driver is and which device to use: the only words of the caller's environment that a timer hears
_DRIVER_VARIABLES = ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS")


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
        """The level of evidence that a keep needs: the plan's, or a stricter one where the processes scatter."""
        plan = self.plan
        return evidence.level_for(self.spread, plan.threshold, plan.alpha, plan.processes)

    @property
    def is_faster(self) -> bool:
        """Whether the evidence is in that the candidate is faster."""
        return self.faster.reached(self.level)

    @property
    def is_slower(self) -> bool:
        """Whether it is in that the candidate is slower; nothing is kept on that, so noise asks for no more."""
        return self.slower.reached(self.plan.alpha)

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
        return evidence.least_effect(self.spread, plan.threshold, self.level, plan.processes)

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
    python: Path,
    platform: str,
    programs: tuple[bytes, bytes],
    inputs: Sequence[InputSet],
    plan: TimingPlan,
    check: Callable[[int, Sequence[Wire]], None],
) -> Timing:
    """Time candidate against incumbent.

    Args:
        programs: (incumbent, candidate), serialised for `platform`.
        inputs: input sets; pairs draw from them.
        check: told the set and the candidate's timed outputs once per process; raises when they are wrong.

    Raises:
        WorkerFailure: a program failed or did not end in time.
        ClockDisagreement: the timer's sum of samples does not fit the judge's clock.
    """
    timing, started = Timing(plan), time.monotonic()
    while len(timing.samples) < plan.processes:
        with WorkerProcess(python, "timer", environment=timer_environment(platform)) as timer:
            _measure_once(timer, timing, programs, inputs, check)
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


def _measure_once(
    timer: WorkerProcess,
    timing: Timing,
    programs: tuple[bytes, bytes],
    inputs: Sequence[InputSet],
    check: Callable[[int, Sequence[Wire]], None],
) -> None:
    plan = timing.plan
    timing.device = {k: v for k, v in timer.ask({"op": "device"}, timeout_s=60)[0].items() if k != "id"}
    timer.ask({"op": "load"}, programs, timeout_s=plan.timeout_s)
    for specs, blobs in inputs:
        timer.ask({"op": "inputs", "inputs": specs}, blobs, timeout_s=plan.timeout_s)
    header = {"op": "warm", "repeats": 1, "first": secrets.randbelow(2)}
    warm = timer.ask(header, timeout_s=plan.timeout_s)[0]["seconds"]
    repeats = max(1, math.ceil(plan.sample_s / max(min(warm), 1e-9)))
    pairs = int(plan.process_s / max(repeats * sum(warm), 1e-9))
    order = [
        [secrets.randbelow(2), secrets.randbelow(len(inputs))]
        for _ in range(max(_LEAST_PAIRS, min(pairs, plan.pairs)))
    ]
    header = {"op": "pairs", "order": order, "repeats": repeats}
    seconds, share, own_s = _pairs(timer, plan, header, len(inputs))
    timing.timed_share.append(share)
    timing.own_clock_s.append(own_s)
    # which of the timed outputs is looked at is drawn after the clock has stopped
    index = secrets.choice(order)[1]
    reply, blobs = timer.ask({"op": "outputs", "program": 1, "set": index}, timeout_s=plan.timeout_s)
    check(index, [Wire(s["dtype"], tuple(s["shape"]), b) for s, b in zip(reply["outputs"], blobs, strict=True)])
    timing.samples.append([(float(theirs), float(mine)) for theirs, mine in seconds])
    timing.repeats.append(repeats)


def _pairs(timer: WorkerProcess, plan: TimingPlan, header: dict[str, Any], sets: int) -> _Samples:
    """Time the pairs. A few of them may be far off on a busy machine, so what disagrees is measured again.

    Raises:
        ClockDisagreement: it disagrees every time.
    """
    for _ in range(_ROUNDS - 1):
        with contextlib.suppress(ClockDisagreement):
            return _pairs_once(timer, plan, header, sets)
    return _pairs_once(timer, plan, header, sets)


def _pairs_once(timer: WorkerProcess, plan: TimingPlan, header: dict[str, Any], sets: int) -> _Samples:
    """Samples in seconds, their share of the judge's wall clock, and what the judge's own clock says of a call."""
    started = time.monotonic()
    seconds = timer.ask(header, timeout_s=plan.timeout_s)[0]["seconds"]
    share = _share(sum(map(sum, seconds)) * header["repeats"], time.monotonic() - started)
    claimed = tuple(statistics.median(column) for column in zip(*seconds, strict=True))
    return seconds, share, OwnClock(timer, sets, plan.timeout_s).agrees((claimed[0], claimed[1]))


def _share(timed_s: float, wall_s: float) -> float:
    """The part of the judge's wall clock that the samples account for: most of it, and never more than all."""
    share = timed_s / wall_s
    if not _LEAST_SHARE <= share <= 1:
        raise ClockDisagreement(f"samples of {timed_s:.3f} s in {wall_s:.3f} s of the judge's clock")
    return round(share, 4)


def timer_environment(platform: str) -> dict[str, str]:
    """Variables of the timing process: the device's platform first, one compute thread setting for both programs."""
    if platform == "cpu":
        return {"JAX_PLATFORMS": "cpu"}
    driver = {name: os.environ[name] for name in _DRIVER_VARIABLES if name in os.environ}
    return {**driver, "JAX_PLATFORMS": f"{platform},cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
