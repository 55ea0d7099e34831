"""Sequential evidence that one program is faster than another, valid whenever one looks.

Two programs are timed in pairs, in fresh processes. What decides is the median log-ratio (candidate over incumbent)
of each process: pairs of one process share its memory placement and the machine's mood, so a thousand of them are
not a thousand witnesses. Each process is a coin, heads when its median lies below the threshold. Under the null
hypothesis "half of all processes show a median that is not below the threshold" heads come up at most half the time,
whatever the noise looks like, so a gambler who bets on heads cannot expect to gain. The gambler here stakes half of
the capital on heads alone and spreads the other half evenly over all stakes:

    wealth(n, h) = 1/2 * 2^n [h = n]  +  1/2 * 2^(n+1) * integral from 1/2 to 1 of p^h (1-p)^(n-h) dp

By Ville's inequality the probability that the wealth ever reaches 1/alpha under the null is at most alpha, however
often one looks and whenever one stops (Shafer 2021, "Testing by betting"; Robbins 1970 for the mixture). Five
processes that all say the same reach 1/0.05.
"""

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

POWER = 0.8
_APART = 2.5  # standard deviations
FALSE_KEEP = 0.0025  # of identical code, at the noise that a run itself shows
_GRID = (np.arange(2000) + 0.5) / 4000 + 0.5  # midpoints of 2,000 cells on (1/2, 1)
_LOG_HEADS, _LOG_TAILS = np.log(_GRID), np.log1p(-_GRID)


@dataclass(frozen=True)
class Evidence:
    """What the processes say about one direction: how many there were, how many agree, and the gambler's capital.

    `wealth` is 1 at the start and evidence at level alpha from 1/alpha on.
    """

    processes: int
    agreeing: int

    @property
    def wealth(self) -> float:
        return wealth(self.processes, self.agreeing)

    def reached(self, alpha: float) -> bool:
        return self.wealth >= 1 / alpha


@functools.cache
def wealth(coins: int, heads: int) -> float:
    """The gambler's capital after `coins` coins of which `heads` were heads."""
    logs = heads * _LOG_HEADS + (coins - heads) * _LOG_TAILS
    peak = float(logs.max())
    integral = float(np.exp(logs - peak).mean()) * 0.5
    mixture = math.exp(min(700.0, peak + math.log(integral) + (coins + 1) * math.log(2)))
    return 0.5 * mixture + (0.5 * 2.0 ** min(coins, 1000) if heads == coins else 0.0)


def faster(processes: Sequence[Sequence[float]], threshold: float) -> Evidence:
    """Evidence that the candidate's time is below (1 - threshold) of the incumbent's.

    Args:
        processes: log-ratios candidate / incumbent, one sequence for each fresh process.
        threshold: relative gain that counts, e.g. 0.01.
    """
    bound = math.log1p(-threshold)
    return Evidence(len(processes), sum(statistics.median(process) < bound for process in processes))


def slower(processes: Sequence[Sequence[float]], threshold: float) -> Evidence:
    """Evidence that the candidate's time is above 1 / (1 - threshold) of the incumbent's."""
    return faster([[-ratio for ratio in process] for process in processes], threshold)


def fewest(alpha: float) -> int:
    """How many processes that all agree are evidence at level alpha."""
    return next(coins for coins in range(1, 2000) if wealth(coins, coins) >= 1 / alpha)


def reach_probability(share: float, alpha: float, most: int) -> float:
    """The probability that at most `most` coins ever reach 1/alpha when heads come with probability `share`."""
    alive = {0: 1.0}  # heads so far -> probability of being there without having reached it
    reached = 0.0
    for coins in range(1, most + 1):
        after: dict[int, float] = {}
        for heads, chance in alive.items():
            after[heads + 1] = after.get(heads + 1, 0.0) + chance * share
            after[heads] = after.get(heads, 0.0) + chance * (1 - share)
        alive = {heads: chance for heads, chance in after.items() if wealth(coins, heads) < 1 / alpha}
        reached += sum(after.values()) - sum(alive.values())
    return reached


def level_for(spread: float, threshold: float, alpha: float, most: int) -> float:
    """The level, `alpha` or stricter, at which identical code with this spread is kept at most once in 400 decisions.

    Where processes scatter far less than the threshold, identical code hardly ever lies beyond it, and five that agree
    are plenty. On a busy machine nearly half of them do, and five agree by luck once in fifty decisions, which the
    bound of 1/20 allows and a night of candidates does not. The normal law is only used to become stricter. With the
    spread taken from the run itself, identical code was kept in at most 0.4 % of 2,000 simulated decisions.
    """
    beyond = statistics.NormalDist().cdf(math.log1p(-threshold) / spread)
    while reach_probability(beyond, alpha, most) > FALSE_KEEP:
        alpha /= 2
    return alpha


def stands_apart(processes: Sequence[Sequence[float]]) -> bool:
    """Whether every process shows a gain of more than two and a half times their scatter: no noise like theirs does.

    Of simulated decisions on identical code, looked at from the fifth process to the twelfth, 0.06 % stand apart where
    processes scatter normally, 0.03 % with tails of three degrees of freedom.
    """
    medians = [statistics.median(process) for process in processes]
    return max(medians) < -_APART * spread_of(processes)


def interval(processes: Sequence[Sequence[float]], alpha: float = 0.05) -> tuple[float, float, float]:
    """(median, low, high) of the ratio: a distribution-free interval for the median of paired ratios.

    The order statistics whose ranks a Binomial(n, 1/2) covers with probability 1 - alpha. It describes the pairs that
    were measured; decisions are made by process.
    """
    ratios = sorted(ratio for process in processes for ratio in process)
    count = len(ratios)
    spread = 0.5 * math.sqrt(count) * statistics.NormalDist().inv_cdf(1 - alpha / 2)
    low = max(0, math.floor(count / 2 - spread) - 1)
    high = min(count - 1, math.ceil(count / 2 + spread))
    return math.exp(statistics.median(ratios)), math.exp(ratios[low]), math.exp(ratios[high])


def spread_of(processes: Sequence[Sequence[float]]) -> float:
    """Standard deviation of the processes' medians, and not less than the pairs of one process alone would give.

    The median of n values with standard deviation s has about 1.25 s / sqrt(n); s comes from the median absolute
    deviation, because single calls are now and then interrupted.
    """
    medians = [statistics.median(process) for process in processes]
    within = []
    for process, centre in zip(processes, medians, strict=True):
        deviation = 1.4826 * statistics.median(abs(ratio - centre) for ratio in process)
        within.append(1.2533 * deviation / math.sqrt(len(process)))
    between = statistics.stdev(medians) if len(medians) > 1 else 0.0
    return max(between, statistics.median(within), 1e-6)


def least_effect(spread: float, threshold: float, alpha: float, most: int) -> float:
    """The relative gain that at most `most` processes with this spread would show four times out of five."""
    low, high = 0.5, 1 - 1e-9
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if reach_probability(middle, alpha, most) >= POWER else (middle, high)
    beyond = spread * statistics.NormalDist().inv_cdf(high)
    return -math.expm1(math.log1p(-threshold) - beyond)


def upper_bound(successes: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided Clopper-Pearson bound of a rate, by bisection on the binomial distribution."""

    def at_most(rate: float) -> float:
        return sum(math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(successes + 1))

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(middle) > 1 - confidence else (low, middle)
    return high
