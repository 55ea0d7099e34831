"""How good predictions are: errors, order, and what choosing by them costs. Pairs are (predicted, measured)."""

import itertools
import math
import statistics
from collections.abc import Sequence

Pairs = Sequence[tuple[float, float]]


def median_ratio(pairs: Pairs) -> float:
    return statistics.median(predicted / measured for predicted, measured in pairs)


def errors(pairs: Pairs) -> list[float]:
    """Absolute errors relative to the measurement."""
    return [abs(predicted / measured - 1.0) for predicted, measured in pairs]


def kendall(pairs: Pairs) -> float:
    """Kendall's tau-a: concordant less discordant pairs over all pairs; NaN for fewer than two."""
    agreement = [
        math.copysign(1.0, (a[0] - b[0]) * (a[1] - b[1])) if a[0] != b[0] and a[1] != b[1] else 0.0
        for a, b in itertools.combinations(pairs, 2)
    ]
    return statistics.fmean(agreement) if agreement else math.nan


def pair_order(pairs: Pairs, gap: float = 0.10) -> tuple[int, int]:
    """Pairs whose predictions differ by more than the gap: how many are in the measured order, and how many."""
    far = [(a, b) for a, b in itertools.combinations(pairs, 2) if max(a[0], b[0]) > (1.0 + gap) * min(a[0], b[0])]
    right = sum((a[0] < b[0]) == (a[1] < b[1]) for a, b in far)
    return right, len(far)


def choice(pairs: Pairs) -> tuple[int, float]:
    """Place (from 1) of the measured best among the predictions, and the regret of taking the predicted best.

    The regret is relative: how much slower, as measured, the configuration is that the predictions would choose.
    """
    by_prediction = sorted(pairs)
    best = min(measured for _, measured in pairs)
    place = next(place for place, (_, measured) in enumerate(by_prediction, 1) if measured == best)
    return place, by_prediction[0][1] / best - 1.0
