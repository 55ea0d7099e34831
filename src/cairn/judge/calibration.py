"""The A/A run: identical code timed against itself, before anybody claims to have beaten it on this machine.

It answers two questions about the judge here and today: how often would it keep code that is no better, and what is
the least gain that it would see? Both stand in every later receipt, and no decision is made below the second.

    false-keep bound    the share of null processes whose median lies below the threshold, bounded from above with
                        95 % confidence (Clopper and Pearson), put through the decision rule exactly
    least effect        the gain that the rule would find four times out of five, from the spread of the processes
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cairn.judge import evidence
from cairn.judge.timing import Timing
from cairn.judge.timing_plan import TimingPlan
from cairn.problem import Shape

PROCESSES = 20  # none of 20 on the wrong side bounds the share at 14 %
ALPHA = 0.05  # of one decision, or of all decisions of a climb together
_CONFIDENCE = 0.95


def share_of(alpha: float, number: int | None) -> float:
    """The part of a climb's `alpha` that its candidate `number` (1, 2, ...) may spend: alpha / (n (n + 1)).

    The parts of any number of candidates add up to less than alpha. A single judgement (None) spends all of it.
    """
    return alpha if number is None else alpha / (number * (number + 1))


@dataclass(frozen=True)
class ShapeNoise:
    """What null processes showed at one shape: the median log-ratio of each, and how far these scatter."""

    shape: Shape
    medians: tuple[float, ...]
    spread: float


@dataclass(frozen=True)
class Calibration:
    """The noise of a device at every bench shape."""

    shapes: tuple[ShapeNoise, ...]

    @classmethod
    def from_timings(cls, shapes: Sequence[Shape], timings: Sequence[Timing]) -> "Calibration":
        return cls(
            tuple(
                ShapeNoise(shape, tuple(statistics.median(process) for process in timing.ratios), timing.spread)
                for shape, timing in zip(shapes, timings, strict=True)
            )
        )

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Calibration":
        """Read back what `record` wrote."""
        noises = [ShapeNoise(n["shape"], tuple(n["process_log_ratios"]), n["spread"]) for n in record["noise"]]
        return cls(tuple(noises))

    def threshold(self, wanted: float, alpha: float) -> float:
        """The gain to decide about: what is wanted, but never less than can be told from nothing here."""
        return max(wanted, self.least_effect(0.0, alpha))

    def least_effect(self, threshold: float, alpha: float) -> float:
        """The gain that a decision about `threshold` finds with 80 % power, at the noisiest shape."""
        most = TimingPlan.spending(alpha, threshold).processes
        return max(evidence.least_effect(noise.spread, threshold, alpha, most) for noise in self.shapes)

    def false_keep_bound(self, threshold: float, alpha: float) -> float:
        """Upper bound, with 95 % confidence, of the rate at which identical code would be kept.

        A variant is kept only when every shape agrees, so the quietest shape bounds it. The decision rule itself
        promises alpha, whatever the noise.
        """
        most = TimingPlan.spending(alpha, threshold).processes
        bounds = []
        for noise in self.shapes:
            wrong = evidence.faster([[median] for median in noise.medians], threshold).agreeing
            share = evidence.upper_bound(wrong, len(noise.medians), _CONFIDENCE)
            bounds.append(evidence.reach_probability(share, alpha, most))
        return min(alpha, *bounds)

    def record(self, wanted: float = TimingPlan.threshold, alpha: float = ALPHA) -> dict[str, Any]:
        """Plain JSON: the claims for a decision at this threshold and level, and what they were derived from."""
        threshold = self.threshold(wanted, alpha)
        return {
            "threshold": threshold,
            "alpha": alpha,
            "false_keep_bound": self.false_keep_bound(threshold, alpha),
            "least_detectable_effect": self.least_effect(threshold, alpha),
            "noise": [
                {"shape": noise.shape, "process_log_ratios": list(noise.medians), "spread": noise.spread}
                for noise in self.shapes
            ],
        }
