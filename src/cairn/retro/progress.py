"""Loops and climbs as series: how many tries were kept, the running best, plateaus, and what a gain cost."""

from collections.abc import Iterable
from dataclasses import dataclass

from cairn.retro.facts import NOTE, Document, Fact
from cairn.retro.vocabulary import HIGHER, Domain, fold

_KEPT = {"keep", "kept", "accepted", "accept", "improved", "best", "success", "baseline"}
_LOST_TEXT = """
discard discarded reverted rejected revert crash crashed failed fail error invalid inconclusive abandoned no-op worse
refused nothing duplicate check_failed
"""
_LOST = set(_LOST_TEXT.split())
_COSTS = ("agent_s", "judge_s", "time", "elapsed", "duration", "training_time", "cost", "cost_usd", "seconds")
_FLAT = 3


@dataclass(frozen=True)
class Try:
    """One try of a loop: its place in the source's order, whether it was kept (None: unclear), and its value."""

    run: str
    kept: bool | None
    status: str
    value: Fact | None
    best: float | None
    where: str


@dataclass(frozen=True)
class Series:
    """A loop as one source records it. `cost_s`: seconds of all tries where the source gives them."""

    path: str
    metric: str
    direction: str | None
    tries: tuple[Try, ...]
    kept: int
    lost: int
    flat: int
    cost_s: float | None
    cost_per_gain_s: float | None

    @property
    def plateau(self) -> bool:
        """Whether the last tries, at least three, brought nothing."""
        return self.flat >= _FLAT


def series_of(documents: Iterable[Document], domain: Domain, told: dict[str, str] | None = None) -> list[Series]:
    """A series for each source whose runs say that they were kept or not."""
    found = []
    for document in documents:
        if document.reader in ("table", "ledger", "json") and (series := _series(document, domain, told or {})):
            found.append(series)
    return found


def _series(document: Document, domain: Domain, told: dict[str, str]) -> Series | None:
    runs: dict[str, list[Fact]] = {}
    for fact in document.facts:
        if fact.run and fact.run != "anchors":
            runs.setdefault(fact.run, []).append(fact)
    statuses = {run: status for run, facts in runs.items() if (status := _status(facts))}
    if len(statuses) < 2:
        return None
    metric = _metric(document, runs, domain)
    direction = told.get(metric) or _direction(document, metric, runs, domain)
    tries, best, flat, kept = [], None, 0, 0
    for run, facts in runs.items():
        status = statuses.get(run, "")
        value = next(
            (
                fact
                for fact in facts
                if fold(fact.name) == metric and fact.value is not None and not fact.has(NOTE)
            ),
            None,
        )
        won = _kept(status)
        better = won and value is not None and value.value is not None and _better(value.value, best, direction)
        if better and value is not None:
            best = value.value
        kept += won is True
        flat = 0 if won else flat + 1
        tries.append(Try(run, won, status, value, best, facts[0].where))
    cost = _cost(runs)
    return Series(document.path, metric, direction, tuple(tries), kept, sum(each.kept is False for each in tries), flat,
                  cost, cost / kept if cost is not None and kept else None)  # fmt: skip


def _status(facts: list[Fact]) -> str:
    for wanted in ("decision", "status", "result", "outcome", "verdict"):
        for fact in facts:
            if fold(fact.name) == wanted and fact.value is None and _kept(fact.raw) is not None:
                return fact.raw
    return ""


def _kept(status: str) -> bool | None:
    word = status.strip().casefold()
    return True if word in _KEPT else False if word in _LOST else None


def _metric(document: Document, runs: dict[str, list[Fact]], domain: Domain) -> str:
    """The metric of the loop: the one whose direction the file gives, else the first that most runs have."""
    counts: dict[str, int] = {}
    for facts in runs.values():
        for name in dict.fromkeys(
            fold(fact.name) for fact in facts if fact.value is not None and not fact.has(NOTE)
        ):
            counts[name] = counts.get(name, 0) + 1
    for name in ("metric", *document.direction):
        if fold(name) in counts:
            return fold(name)
    ranked = [name for name in counts if domain.direction(domain.classify(name)[1]) and name not in _COSTS]
    return max(ranked or list(counts), key=lambda name: counts[name], default="")


def _direction(document: Document, metric: str, runs: dict[str, list[Fact]], domain: Domain) -> str | None:
    for name, direction in document.direction.items():
        if fold(name) == metric or name == "metric":
            return direction
    fact = next((fact for facts in runs.values() for fact in facts if fold(fact.name) == metric), None)
    return domain.direction(domain.classify(metric)[1], fact.unit if fact else None)


def _better(value: float, best: float | None, direction: str | None) -> bool:
    if best is None:
        return True
    return direction is not None and (value > best if direction == HIGHER else value < best)


def _cost(runs: dict[str, list[Fact]]) -> float | None:
    seconds = [fact.base[0] for facts in runs.values() for fact in facts if fold(fact.name).replace(" ", "_") in _COSTS
               and fact.value is not None and fact.base[1] == "time"]  # fmt: skip
    return sum(seconds) if seconds else None
