"""What newer evidence says against older words: log entries that were corrected, skills whose numbers no longer hold.

Nothing is overwritten. Each clash names both places; a person or the next plan decides, and a skill that was overtaken
gets `status: superseded` with the name of the one that replaces it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cairn.learnings.evidence import evidence_of
from cairn.learnings.model import Entry
from cairn.retro.check import OTHER_THING, UNKNOWN_NUMBER, check_text
from cairn.retro.evidence import Evidence
from cairn.retro.facts import METRIC, NOTE, Document, Fact
from cairn.retro.skillfile import Skill
from cairn.retro.vocabulary import Domain, fold


@dataclass(frozen=True)
class Clash:
    """Something old that something newer contradicts. `kind`: correction, value, skill or learning."""

    kind: str
    old: str
    new: str
    message: str


def corrections(documents: Iterable[Document]) -> list[Clash]:
    """Rows of `Previous claim | Actual finding` tables, which say themselves that something older is wrong."""
    return [
        Clash("correction", note.text, f"{note.path}:{note.line}", note.effect)
        for document in documents
        for note in document.notes
        if note.part == "correction"
    ]


def changed_values(documents: Sequence[Document], domain: Domain, limit: int = 50) -> list[Clash]:
    """The same metric of the same run with two values in two dated sources: the later against the earlier."""
    seen: dict[tuple[str, str], list[tuple[str, Fact]]] = {}
    for document in documents:
        for fact in document.facts:
            named = (
                fact.run and fact.value is not None and document.date and fact.step is None and not fact.has(NOTE)
            )
            if named and _telling(fact.run) and domain.classify(fact.name, fact.section, fact.unit)[0] == METRIC:
                seen.setdefault((fold(fact.run), fold(fact.name)), []).append((document.date or "", fact))
    found = []
    for (run, name), members in seen.items():
        members.sort(key=lambda each: each[0])
        (old_date, old), (new_date, new) = members[0], members[-1]
        if old.path != new.path and old_date < new_date and not _agree(old, new):
            message = f"{name} of {run}: {old.raw} on {old_date}, {new.raw} on {new_date}"
            found.append(Clash("value", old.where, new.where, message))
    return found[:limit]


def _telling(run: str) -> bool:
    """Names that mean one thing in a project; `baseline` and `a` do not."""
    return len(run) > 5 and any(each.isdigit() or each in "-_/" for each in run)


def _agree(old: Fact, new: Fact) -> bool:
    """Equal as far as the coarser of the two shows."""
    one, other = old.base, new.base
    if one[1] != other[1]:
        return True  # not comparable
    digits = min(len(old.raw.partition(".")[2].rstrip("%kMB ")), len(new.raw.partition(".")[2].rstrip("%kMB ")))
    return abs((old.value or 0) - (new.value or 0)) <= 0.5 * 10**-digits + 1e-12 or one[0] == other[0]


def stale_skills(skills: Iterable[Skill], evidence: Evidence) -> list[Clash]:
    """Result skills that state numbers which the sources give to something else, or do not have."""
    found = []
    for skill in skills:
        if not skill.is_result or skill.status != "active":
            continue
        findings = [
            each
            for each in check_text(skill.path, skill.text, evidence).findings
            if each.code in (OTHER_THING, UNKNOWN_NUMBER)
        ]
        for finding in findings[:5]:
            new = finding.instead[0] if finding.instead else "no source"
            found.append(Clash("skill", f"{skill.path}:{finding.line}", new, finding.message))
    return found


def superseded(skills: Sequence[Skill]) -> list[Skill]:
    """Skills that say of themselves that another one replaces them, or that another one names as replaced."""
    named = {
        name.strip()
        for skill in skills
        for name in skill.metadata.get("supersedes", "").split(",")
        if name.strip()
    }
    return [
        skill
        for skill in skills
        if skill.status != "active" or "superseded-by" in skill.metadata or skill.folder in named
    ]


def doubtful_learnings(entries: Iterable[Entry], texts: Sequence[str]) -> list[Clash]:
    """Learnings that the summary's findings may speak against: alike in words, opposite in outcome."""
    from cairn.learnings.similar import Draft, compare

    found = []
    for entry in entries:
        if not evidence_of(entry).active:
            continue
        for text in texts:
            score = compare(Draft(title=text, symptom=text), entry).score
            if score >= 70 and _opposite(text, entry.text):
                found.append(
                    Clash(
                        "learning",
                        f"[{entry.id}] line {entry.span.first}",
                        text,
                        f"says otherwise than [{entry.id}] {entry.title}",
                    )
                )
                break
    return found


_NEGATIVE = ("not ", "n't", "no gain", "slower", "worse", "failed", "regress", "hurt", "wrong")


def _opposite(one: str, other: str) -> bool:
    return any(word in one.casefold() for word in _NEGATIVE) != any(word in other.casefold() for word in _NEGATIVE)
