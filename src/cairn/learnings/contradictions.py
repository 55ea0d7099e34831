"""Entries that advise the opposite of each other on one subject.

One entry says "use `fori_loop`", another "avoid `fori_loop`": both may be right, each in its scope, but a reader
who meets only one of them is misled. The subject of an advice is a name in code (`fori_loop`, `emit_pipeline`);
whether it is for or against is read from the words before it in the same clause. Entries that name each other as
related have settled it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cairn.learnings.evidence import Evidence
from cairn.learnings.model import Entry

_ADVICE = ("fix", "fixed", "rule", "optimization", "what", "applicable when")
_CLAUSE = re.compile(r"[.;:!?](?=\s|$)|\s[-–—]\s|, but |\n")
_NAME = re.compile(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`|\b([A-Za-z]\w*_\w+)\b")
_AGAINST = re.compile(
    r"\b(?:never|avoid|do not|don't|does not|must not|cannot|instead of|rather than|without|drop|remove|disable"
    r"|stop using|no longer|not)\b[^`]{0,30}$",
    re.IGNORECASE,
)
_FOR = re.compile(
    r"\b(?:use|using|prefer|enable|add|keep|switch to|replace \S+ (?:with|by)|always|apply)\b[^`]{0,30}$",
    re.IGNORECASE,
)
_GENERIC = frozenset(("pallas_call", "block_size", "kernel_fn", "in_specs", "out_specs", "out_shape"))


@dataclass(frozen=True)
class Contradiction:
    """Two entries, what they disagree on, and which of them is for it."""

    subject: str
    pro: Entry
    con: Entry


def advice(entry: Entry) -> dict[str, int]:
    """Each subject an entry is clearly for (1) or against (-1); one it is both for and against is left out."""
    found: dict[str, set[int]] = defaultdict(set)
    for label in _ADVICE:
        for value in entry.values(label):
            for clause in _CLAUSE.split(value):
                for match in _NAME.finditer(clause):
                    subject = (match[1] or match[2]).split(".")[-1].casefold()
                    side = _side(clause[: match.start()].rstrip("`"))
                    if side and subject not in _GENERIC and len(subject) > 2:
                        found[subject].add(side)
    return {subject: sides.pop() for subject, sides in found.items() if len(sides) == 1}


def _side(before: str) -> int:
    if _AGAINST.search(before):
        return -1
    return 1 if _FOR.search(before) else 0


def contradictions(rows: Sequence[tuple[Entry, Evidence]]) -> Iterator[Contradiction]:
    """Pairs of active entries with opposite advice; for each that is against, the first that is for it."""
    sides: dict[str, dict[int, list[tuple[Entry, Evidence]]]] = defaultdict(lambda: {1: [], -1: []})
    for entry, evidence in rows:
        if evidence.active:
            for subject, side in advice(entry).items():
                sides[subject][side].append((entry, evidence))
    for subject, both in sorted(sides.items()):
        for con, con_evidence in both[-1]:
            pro = next((each for each in both[1] if _clash(each, (con, con_evidence))), None)
            if pro:
                yield Contradiction(subject, pro[0], con)


def _clash(one: tuple[Entry, Evidence], other: tuple[Entry, Evidence]) -> bool:
    """Whether nothing says that the two speak of different things."""
    related = _names(one) & _related(other) or _names(other) & _related(one)
    scopes = one[1].scope, other[1].scope
    apart = any(
        scopes[0].get(key) and scopes[1].get(key) and scopes[0][key].casefold() != scopes[1][key].casefold()
        for key in ("chip", "dtype")
    )
    return not related and not apart


def _names(pair: tuple[Entry, Evidence]) -> set[tuple[str, int | None, str]]:
    return {name.key for name in pair[0].ids}


def _related(pair: tuple[Entry, Evidence]) -> set[tuple[str, int | None, str]]:
    return {name.key for _, name in pair[1].relations}
