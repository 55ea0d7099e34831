"""Sequential evidence that one program is faster than another, valid whenever one looks.

The samples are log-ratios of paired times, candidate over incumbent. The null hypothesis is "the median ratio is not
below 1 - threshold". Each pair is a coin: heads when its ratio lies below. Under the null heads come up at most half
the time, whatever the distribution of the noise, so a gambler who bets on heads cannot expect to gain. The gambler
here mixes over all stakes (a uniform prior on the probability of heads above one half), which gives

    wealth(n, h) = 2^(n+1) * integral from 1/2 to 1 of p^h (1-p)^(n-h) dp

By Ville's inequality the probability that the wealth ever reaches 1/alpha under the null is at most alpha, however
often one looks and whenever one stops (Shafer 2021, "Testing by betting"; Robbins 1970 for the mixture).

Pairs of one process are not quite independent: memory placement and clock are shared. Hence the second condition of
`decide`: every fresh process must agree by its own median.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_GRID = (np.arange(2000) + 0.5) / 4000 + 0.5  # midpoints of 2,000 cells on (1/2, 1)
_LOG_HEADS, _LOG_TAILS = np.log(_GRID), np.log1p(-_GRID)


@dataclass(frozen=True)
class Evidence:
    """What the samples say about one direction.

    `wealth`: the gambler's capital, 1 at the start; evidence at level alpha from 1/alpha on. `agree`: whether the
    median of every process lies on that side of the threshold.
    """

    wealth: float
    agree: bool

    def reached(self, alpha: float) -> bool:
        return self.wealth >= 1 / alpha and self.agree


def wealth(pairs: int, heads: int) -> float:
    """The mixture gambler's capital after `pairs` coins of which `heads` were heads."""
    logs = heads * _LOG_HEADS + (pairs - heads) * _LOG_TAILS
    peak = float(logs.max())
    integral = float(np.exp(logs - peak).mean()) * 0.5
    return math.exp(min(700.0, peak + math.log(integral) + (pairs + 1) * math.log(2)))


def faster(processes: Sequence[Sequence[float]], threshold: float) -> Evidence:
    """Evidence that the candidate's time is below (1 - threshold) of the incumbent's.

    Args:
        processes: log-ratios candidate / incumbent, one sequence for each fresh process.
        threshold: relative gain that counts, e.g. 0.01.
    """
    return _evidence(processes, math.log1p(-threshold))


def slower(processes: Sequence[Sequence[float]], threshold: float) -> Evidence:
    """Evidence that the candidate's time is above 1 / (1 - threshold) of the incumbent's."""
    return _evidence([[-ratio for ratio in process] for process in processes], math.log1p(-threshold))


def _evidence(processes: Sequence[Sequence[float]], bound: float) -> Evidence:
    ratios = [ratio for process in processes for ratio in process]
    heads = sum(ratio < bound for ratio in ratios)
    agree = bool(processes) and all(statistics.median(process) < bound for process in processes if process)
    return Evidence(wealth(len(ratios), heads), agree)


def interval(processes: Sequence[Sequence[float]], alpha: float = 0.05) -> tuple[float, float, float]:
    """(median, low, high) of the ratio: a distribution-free interval for the median of paired ratios.

    The order statistics whose ranks a Binomial(n, 1/2) covers with probability 1 - alpha.
    """
    ratios = sorted(ratio for process in processes for ratio in process)
    count = len(ratios)
    spread = 0.5 * math.sqrt(count) * statistics.NormalDist().inv_cdf(1 - alpha / 2)
    low = max(0, math.floor(count / 2 - spread) - 1)
    high = min(count - 1, math.ceil(count / 2 + spread))
    return math.exp(statistics.median(ratios)), math.exp(ratios[low]), math.exp(ratios[high])


def least_effect(processes: Sequence[Sequence[float]], threshold: float, alpha: float, pairs: int) -> float:
    """The relative gain that `pairs` pairs of this noise would show with a power of 80 %.

    The spread of the log-ratios comes from their median absolute deviation. The gambler needs a share of heads of at
    least `critical`; a gain of d gives heads with probability Phi((d - threshold) / spread).
    """
    ratios = [ratio for process in processes for ratio in process]
    centre = statistics.median(ratios)
    spread = 1.4826 * statistics.median(abs(ratio - centre) for ratio in ratios) or 1e-6
    needed = next((heads for heads in range(pairs // 2, pairs + 1) if wealth(pairs, heads) >= 1 / alpha), pairs)
    critical = needed / pairs
    margin = statistics.NormalDist().inv_cdf(0.8) * math.sqrt(critical * (1 - critical) / pairs)
    share = min(0.999, critical + margin)
    return threshold + spread * statistics.NormalDist().inv_cdf(share)
