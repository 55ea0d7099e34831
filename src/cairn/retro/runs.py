"""Runs out of facts: what was set and what was measured, per run, with every value tied to its fact."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from cairn.retro.facts import BASELINE, METRIC, NOTE, PARAMETER, SIGNED, Document, Fact
from cairn.retro.ingest.evolve import UNTRUSTED
from cairn.retro.vocabulary import Domain, fold
from cairn.text.units import unit_of

_DELTA = ("delta", "diff", "difference", "change", "gain", "improvement", "vs baseline", "Δ")
_BASE_WORDS = ("baseline", "reference", "before", "control")


@dataclass(frozen=True)
class Value:
    """One value of a run: in base units of its dimension, with the fact it comes from."""

    number: float
    dimension: str | None
    fact: Fact


@dataclass
class Run:
    """A run of one source: its parameters, its metrics, and series by step.

    `whole`: it is named after its document, for want of a name; what is told in passing belongs to it.
    """

    name: str
    path: str
    group: str
    parameters: dict[str, Fact] = field(default_factory=dict)
    metrics: dict[str, list[Value]] = field(default_factory=dict)
    baseline: bool = False
    trusted: bool = True
    whole: bool = False
    order: int = 0

    @property
    def id(self) -> str:
        return f"{self.path}#{self.name}"

    def value(self, metric: str) -> Value | None:
        """The last value by step; the first stated one where there are no steps."""
        values = self.metrics.get(metric, [])
        stepped = [each for each in values if each.fact.step is not None]
        if stepped and len(stepped) == len(values):
            return max(stepped, key=lambda each: each.fact.step or 0.0)
        return values[0] if values else None


def runs_of(documents: Iterable[Document], domain: Domain) -> list[Run]:
    """All runs that have a metric, in the order of their sources and lines."""
    found: dict[tuple[str, str], Run] = {}
    shared: dict[str, dict[str, Fact]] = defaultdict(dict)
    for document in documents:
        tables = _cross_tables(document, domain)
        for at, fact in enumerate(document.facts):
            fact = tables.get(at, fact)
            role, canonical = domain.classify(fact.name, fact.section, fact.unit)
            if fact.has(NOTE) or _is_delta(fact):
                continue
            if role == PARAMETER and not fact.run:
                shared[document.path].setdefault(canonical, fact)
            elif role in (PARAMETER, METRIC) or (fact.value is None and fact.run):
                run = _run(found, document, fact)
                _add(
                    run,
                    role if fact.value is not None or role == PARAMETER else PARAMETER,
                    canonical or fold(fact.name),
                    fact,
                )
    for run in found.values():
        for canonical, fact in shared[run.path].items():
            run.parameters.setdefault(canonical, fact)
    return [run for run in found.values() if run.metrics]


def _is_delta(fact: Fact) -> bool:
    text = f"{fact.run} {fact.name} {fact.group if fact.has(SIGNED) else ''}".casefold()
    return any(word in text for word in _DELTA) and (fact.has(SIGNED) or "delta" in text)


def _run(found: dict[tuple[str, str], Run], document: Document, fact: Fact) -> Run:
    name = fact.run or document.title or document.path
    run = found.get((document.path, name))
    if run is None:
        whole = name in (document.title, document.path)
        run = found[document.path, name] = Run(name, document.path, fact.group, whole=whole, order=len(found))
    run.baseline = (
        run.baseline or (fact.has(BASELINE) and fact.value is not None) or fold(name).split(" ")[0] in _BASE_WORDS
    )
    run.trusted = run.trusted and not fact.has(UNTRUSTED)
    return run


def _add(run: Run, role: str, canonical: str, fact: Fact) -> None:
    if role == PARAMETER:
        run.parameters.setdefault(canonical, fact)
    elif role == METRIC and fact.value is not None:
        unit = unit_of(fact.unit) if fact.unit else None
        number = fact.value * unit.factor if unit else fact.value
        run.metrics.setdefault(canonical, []).append(Value(number, unit.dimension if unit else None, fact))


def _cross_tables(document: Document, domain: Domain) -> dict[int, Fact]:
    """Tables of entity by method: the columns are the runs and the rows what they were tried on."""
    tables: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, fact in enumerate(document.facts):
        if (
            fact.shape in ("table", "html table", "csv")
            and fact.run
            and fact.value is not None
            and not fact.has(NOTE)
        ):
            tables[fact.group, fact.section].append(at)
    found = {}
    for (group, _), members in tables.items():
        facts = [
            document.facts[at]
            for at in members
            if not _is_delta(document.facts[at]) and not document.facts[at].has(SIGNED)
        ]
        names = {fact.name for fact in facts}
        runs = {fact.run for fact in facts}
        plain = [name for name in names if not domain.knows(name)]
        if len(plain) < 2 or len(plain) != len(names) or len(runs) < 2 or len({fact.unit for fact in facts}) != 1:
            continue
        for at in members:
            fact = document.facts[at]
            found[at] = msgspec.structs.replace(
                fact, name=f"{group} [{fact.run}]", run=fact.name, section="results"
            )
    return found
