"""Compare runs: who is best and by how much, what differs, and which differences can be trusted.

A gain smaller than the spread of repeated runs is noise. Two runs that differ in one parameter say something about
it; two that differ in more do not, and are called confounded. No direction is guessed: where nobody says which way a
metric is better, nothing is ranked as best.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cairn.retro.facts import WINNER, Fact
from cairn.retro.runs import Run, Value
from cairn.retro.vocabulary import HIGHER, Domain

_SEED = re.compile(r"[\s_/#-]*(?:seed|rep|repeat|repetition|trial|s)[\s_=#-]*\d+\b|\s*\(\d+\)$", re.I)
_NAMES = "seed status description commit notes verdict reason decision failure error name label variant run config"
_IGNORED = frozenset(_NAMES.split())
_MAX_PAIRED = 150
Direction = Mapping[str, str]
Ways = Callable[[str, str | None], str | None]


@dataclass(frozen=True)
class Entry:
    """One run on a leaderboard. `gain`: relative to the baseline, positive is better; None without one."""

    run: Run
    value: Value
    gain: float | None
    within_noise: bool
    winner_mark: bool


@dataclass(frozen=True)
class Board:
    """A metric with its runs, best first where the direction is known, else in the order of the sources.

    `source`: the one file they come from; empty for runs that have a file each.
    """

    metric: str
    source: str
    dimension: str | None
    direction: str | None
    baseline: Run | None
    spread: float | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Pair:
    """Two runs of one source with the parameters they differ in, and a metric of both."""

    first: Run
    second: Run
    changes: tuple[tuple[str, str, str], ...]
    metric: str
    before: Value
    after: Value
    relative: float | None
    better: bool | None
    within_noise: bool

    @property
    def controlled(self) -> bool:
        return len(self.changes) == 1


@dataclass(frozen=True)
class SameStep:
    """Runs of a series at the last step that all of them reached."""

    metric: str
    step: float
    values: tuple[tuple[Run, Value], ...]


def leaderboards(runs: Sequence[Run], domain: Domain, told: Direction | None = None) -> list[Board]:
    """Boards of a metric with at least two runs: those that can be ranked first, then by the number of runs.

    The runs of one file are a board of their own, because another report measured something else under the same name;
    files of a single run share one.
    """
    groups: dict[tuple[str, str | None, str], list[tuple[Run, Value]]] = defaultdict(list)
    for run in runs:
        for metric in run.metrics:
            value = run.value(metric)
            if value is not None:
                groups[metric, value.dimension, run.path].append((run, value))
    for key, members in groups.items():
        groups[key] = [each for each in members if not each[0].whole] or members
    for metric, dimension, path in [key for key, members in groups.items() if len(members) == 1]:
        groups.setdefault((metric, dimension, ""), []).extend(groups.pop((metric, dimension, path)))
    boards = [_board(key, members, domain, told or {}) for key, members in groups.items() if len(members) > 1]
    return sorted(
        boards, key=lambda board: (board.direction is None, -len(board.entries), board.metric, board.source)
    )


def _board(
    key: tuple[str, str | None, str], members: list[tuple[Run, Value]], domain: Domain, told: Direction
) -> Board:
    metric, dimension, source = key
    direction = told.get(metric) or domain.direction(metric, members[0][1].fact.unit)
    baselines = [(run, value) for run, value in members if run.baseline]
    base = baselines[0] if len(baselines) == 1 else None
    spread = spread_of(members)
    entries = []
    for run, value in members:
        own = next(
            (each for each in baselines if each[0].path == run.path), None
        )  # other sources, other conditions
        against = own[1] if own and own[0] is not run else None
        gain = _gain(value, against, direction) if against else None
        noisy = bool(spread and against and abs(value.number - against.number) <= spread)
        entries.append(Entry(run, value, gain, noisy, value.fact.has(WINNER)))
    if direction:
        entries.sort(
            key=lambda entry: (not entry.run.trusted, entry.value.number * (-1 if direction == HIGHER else 1))
        )
    return Board(metric, source, dimension, direction, base[0] if base else None, spread, tuple(entries))


def _gain(value: Value, base: Value, direction: str | None) -> float | None:
    if not base.number or direction is None or base.dimension != value.dimension:
        return None
    change = (value.number - base.number) / abs(base.number)
    return change if direction == HIGHER else -change


def spread_of(members: Iterable[tuple[Run, Value]]) -> float | None:
    """The widest range of repeated configurations, or the largest stated plus-minus; None without either."""
    repeated: dict[tuple[str, str], list[float]] = defaultdict(list)
    stated = []
    for run, value in members:
        repeated[run.path, _without_seed(run)].append(value.number)
        if value.fact.spread is not None and value.fact.value:
            stated.append(abs(value.fact.spread * value.number / value.fact.value))
    ranges = [max(each) - min(each) for each in repeated.values() if len(each) > 1]
    return max([*ranges, *stated], default=None)


def _without_seed(run: Run) -> str:
    """What makes a configuration: its name without the seed, with all parameters but the seed."""
    rest = sorted((key, fact.raw) for key, fact in run.parameters.items() if not _is_name(key))
    return f"{_SEED.sub('', run.name).strip().casefold()} {rest}"


def _is_name(key: str) -> bool:
    """`run name`, `config_name / label`: they tell runs apart and set nothing."""
    return bool(set(re.split(r"[\s/]+", key)) & _IGNORED)


def differing(first: Run, second: Run) -> tuple[tuple[str, str, str], ...]:
    """The parameters that two runs have different values of: name, first value, second value."""
    keys = sorted(key for key in first.parameters.keys() | second.parameters.keys() if not _is_name(key))
    found = []
    for key in keys:
        one, other = first.parameters.get(key), second.parameters.get(key)
        if one is not None and other is not None and not _same(one, other):
            found.append((key, one.raw, other.raw))
    return tuple(found)


def _same(one: Fact, other: Fact) -> bool:
    if one.value is not None and other.value is not None:
        return one.value == other.value and one.unit == other.unit
    return one.raw.casefold() == other.raw.casefold()


def pairs(runs: Sequence[Run], domain: Domain, told: Direction | None = None) -> list[Pair]:
    """Pairs of one source, group by group: each run against the baseline or its neighbours by one change."""
    by_path: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.parameters:
            by_path[run.path, run.group].append(run)
    found = []

    def ways(metric: str, unit: str | None) -> str | None:
        return (told or {}).get(metric) or domain.direction(metric, unit)

    for members in by_path.values():
        found += _pairs_of(members, ways)
    return sorted(found, key=lambda pair: (len(pair.changes), pair.first.path, pair.metric))


def _pairs_of(members: Sequence[Run], ways: Ways) -> list[Pair]:
    """All pairs of one section that differ in something, each in every metric that both have."""
    spreads: dict[str, float | None] = {}
    found = []
    for first, second in itertools.combinations(members[:_MAX_PAIRED], 2):
        changes = differing(first, second)
        if not changes:
            continue
        if second.baseline and not first.baseline:
            first, second, changes = second, first, differing(second, first)
        for metric in sorted(first.metrics.keys() & second.metrics.keys()):
            if metric not in spreads:
                spreads[metric] = spread_of([(run, value) for run in members if (value := run.value(metric))])
            pair = _pair(first, second, changes, metric, spreads[metric], ways)
            if pair:
                found.append(pair)
    return found


def _pair(
    first: Run,
    second: Run,
    changes: tuple[tuple[str, str, str], ...],
    metric: str,
    spread: float | None,
    ways: Ways,
) -> Pair | None:
    before, after = first.value(metric), second.value(metric)
    if before is None or after is None or before.dimension != after.dimension:
        return None
    direction = ways(metric, before.fact.unit)
    change = after.number - before.number
    relative = change / abs(before.number) if before.number else None
    better = None if direction is None or not change else (change > 0) == (direction == HIGHER)
    noisy = bool(spread and abs(change) <= spread)
    return Pair(first, second, changes, metric, before, after, relative, better, noisy)


def same_step(runs: Sequence[Run]) -> list[SameStep]:
    """For series of different length: all runs at the last step that each of them has."""
    series: dict[str, list[tuple[Run, dict[float, Value]]]] = defaultdict(list)
    for run in runs:
        for metric, values in run.metrics.items():
            steps = {each.fact.step: each for each in values if each.fact.step is not None}
            if len(steps) > 1:
                series[metric].append((run, {step: each for step, each in steps.items() if step is not None}))
    found = []
    for metric, members in sorted(series.items()):
        shared = set.intersection(*(set(steps) for _, steps in members)) if len(members) > 1 else set()
        if shared:
            step = max(shared)
            found.append(SameStep(metric, step, tuple((run, steps[step]) for run, steps in members)))
    return found
