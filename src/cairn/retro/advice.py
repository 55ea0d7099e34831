"""Advice and what became of it: experiments that were proposed, whether they were run, and whether they held.

The record is an append-only file. A result skill that advice leaned on gains or loses confidence by how its advice
turned out; the words are those of learnings: hypothesis, observed once, reproduced, and doubtful when it failed more
often than it held.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from cairn.errors import BadInput, Missing
from cairn.journal import Journal
from cairn.retro.skillfile import Skill

HELD, FAILED, NOT_FOLLOWED = "held", "failed", "not-followed"
OUTCOMES = (HELD, FAILED, NOT_FOLLOWED)
COLUMNS = ("id", "description", "key_differences", "notes")
LEAST, MOST = 2, 5
_REQUIRED = ("id", "description", "key_differences", "expected")


@dataclass(frozen=True)
class Experiment:
    """One proposed experiment. `based_on`: skills it leans on; `outcome`: None until somebody settles it."""

    advice: str
    id: str
    description: str
    key_differences: str
    expected: str
    based_on: tuple[str, ...]
    date: str
    notes: str = ""
    outcome: str | None = None
    evidence: str = ""


def journal_of(root: Path) -> Journal:
    return Journal(root / ".cairn" / "retro" / "advice.jsonl")


def read_advice(root: Path) -> list[Experiment]:
    """All experiments in the order they were proposed, with their outcomes.

    Raises:
        BadInput: a line of the record is damaged.
    """
    found: dict[tuple[str, str], Experiment] = {}
    for record in journal_of(root).read().records:
        if record.get("event") == "advised":
            for each in record["experiments"]:
                found[record["advice"], each["id"]] = Experiment(
                    record["advice"], each["id"], each["description"], each["key_differences"], each["expected"],
                    tuple(each.get("based_on") or ()), record["date"], each.get("notes") or "",
                )  # fmt: skip
        elif record.get("event") == "settled" and (record["advice"], record["id"]) in found:
            old = found[record["advice"], record["id"]]
            found[record["advice"], record["id"]] = Experiment(
                **{**vars(old), "outcome": record["outcome"], "evidence": record.get("evidence", "")}
            )
    return list(found.values())


def record_advice(
    root: Path, goal: str, experiments: Sequence[dict[str, Any]], known: Iterable[str], path: Path
) -> str:
    """Write down two to five experiments; gives the id of the advice. The same advice again changes nothing.

    Raises:
        BadInput: too few or too many, a field is missing, an id stands twice, or a skill is not there.
    """
    if not LEAST <= len(experiments) <= MOST:
        raise BadInput(f"{len(experiments)} experiments", path=path, hint=f"advise {LEAST} to {MOST}")
    ids = [str(each.get("id") or "") for each in experiments]
    for number, each in enumerate(experiments, 1):
        missing = [key for key in _REQUIRED if not str(each.get(key) or "").strip()]
        if missing:
            raise BadInput(f"experiment {number} has no {', '.join(missing)}", path=path)
        unknown = [name for name in each.get("based_on") or () if name not in set(known)]
        if unknown:
            raise BadInput(f"experiment {number}: there is no skill `{unknown[0]}`", path=path, key="based_on")
    if len(set(ids)) != len(ids):
        raise BadInput("an id stands twice", path=path, key="id")
    advice = "A-" + hashlib.sha256(json.dumps([goal, list(experiments)], sort_keys=True).encode()).hexdigest()[:8]
    if not any(each.advice == advice for each in read_advice(root)):
        journal_of(root).append(
            {
                "event": "advised",
                "advice": advice,
                "goal": goal,
                "date": date.today().isoformat(),
                "experiments": list(experiments),
            }
        )
    return advice


def settle(root: Path, advice: str, experiment: str, outcome: str, evidence: str) -> None:
    """Say what became of one experiment.

    Raises:
        Missing: there is no such advice.
    """
    known = read_advice(root)
    if not any((each.advice, each.id) == (advice, experiment) for each in known):
        names = ", ".join(f"{each.advice} {each.id}" for each in known[-6:]) or "none"
        raise Missing(f"there is no advice {advice} {experiment}", hint=f"the last ones: {names}")
    record = {
        "event": "settled",
        "advice": advice,
        "id": experiment,
        "outcome": outcome,
        "evidence": evidence,
        "date": date.today().isoformat(),
    }
    journal_of(root).append(record)


@dataclass(frozen=True)
class Confidence:
    """How a skill's advice turned out, and the word for it."""

    skill: str
    held: int
    failed: int
    not_followed: int
    word: str


def confidence_of(skill: Skill, advice: Iterable[Experiment]) -> Confidence:
    """What outcomes make of a skill: two that held and none that failed are `reproduced`."""
    mine = [each for each in advice if skill.folder in each.based_on]
    held = sum(each.outcome == HELD for each in mine)
    failed = sum(each.outcome == FAILED for each in mine)
    if failed and failed >= held:
        word = "doubtful"
    elif held >= 2:
        word = "reproduced"
    elif held:
        word = "observed once, held once"
    else:
        word = skill.metadata.get("confidence", "observed once")
    return Confidence(skill.folder, held, failed, sum(each.outcome == NOT_FOLLOWED for each in mine), word)


def table(experiments: Iterable[dict[str, Any]]) -> list[list[str]]:
    """Rows of the table that advice is shown in."""
    return [[str(each.get(name) or each.get("expected") or "") for name in COLUMNS] for each in experiments]
