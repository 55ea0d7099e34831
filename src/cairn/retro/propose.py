"""From a checked summary and drafts of skills to a plan: clean, scrubbed, without doubles, and nothing written.

What is refused is a result with reasons, not an error: a number without evidence, a skill that another one covers, a
name that hosts do not take.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from cairn.registry import Registry
from cairn.retro.check import Finding, check_text
from cairn.retro.evidence import Evidence
from cairn.retro.guide import read_guide
from cairn.retro.log_entry import Draft, missing_parts, parts_of_summary
from cairn.retro.plan import GUIDE, LOG, REGISTRY, SKILL, Change, Plan, targets
from cairn.retro.provenance import Provenance
from cairn.retro.skillfile import (
    Skill,
    faults_of,
    missing_sections,
    one_line,
    overlaps,
    read_skill,
    read_skills,
    render,
    scrub,
)
from cairn.retro.sources import guide_path, log_path
from cairn.retro.vocabulary import Domain


@dataclass
class Wish:
    """What the assistant wants to write: the summary and drafts, as texts with the names of their files."""

    subject: str
    summary: tuple[str, str]
    description: str = ""
    skills: Sequence[Path] = ()
    updates: Sequence[str] = ()
    supersedes: Sequence[str] = ()
    guide: Sequence[dict[str, Any]] = ()
    apart: Sequence[str] = ()  # overlapping skills that somebody looked at and wants to keep apart


@dataclass(frozen=True)
class Desk:
    """What a skill is worked out from."""

    registry: Registry
    domain: Domain
    evidence: Evidence
    provenance: Provenance


@dataclass
class Proposal:
    """A plan, or why there is none. `refused`: reasons; `findings`: numbers and names without evidence, by file."""

    plan: Plan | None = None
    refused: list[str] = field(default_factory=list)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def propose(
    registry: Registry, domain: Domain, evidence: Evidence, wish: Wish, provenance: Provenance
) -> Proposal:
    """Work a wish out into a plan."""
    proposal = Proposal()
    changes: list[Change] = []
    name, text = wish.summary
    _check(proposal, name, text, evidence)
    parts = parts_of_summary(text)
    if missing := missing_parts(parts):
        proposal.refused.append(
            f"{name}: no {', '.join(missing)}; write `- none` with the reason below a part that is empty"
        )
    existing = read_skills(registry.root)
    for path in wish.skills:
        changes += _skill_changes(proposal, path, existing, wish, Desk(registry, domain, evidence, provenance))
    changes += _superseded(registry, existing, wish, [change.name for change in changes if change.kind == SKILL])
    changes += _guide_changes(registry, proposal, wish, domain)
    changes += _log_changes(registry, proposal, wish, parts)
    if not proposal.refused and not proposal.findings:
        proposal.plan = Plan(
            wish.subject, date.today().isoformat(), changes, sources=list(provenance.sources), notes=proposal.notes
        )
    return proposal


def _check(proposal: Proposal, name: str, text: str, evidence: Evidence) -> None:
    findings = check_text(name, text, evidence).findings
    if findings:
        proposal.findings[name] = list(findings)


def _skill_changes(
    proposal: Proposal, path: Path, existing: Sequence[Skill], wish: Wish, desk: Desk
) -> list[Change]:
    registry, evidence = desk.registry, desk.evidence
    draft = read_skill(path, registry.root)
    old = next((skill for skill in existing if skill.folder == draft.name), None)
    _check(proposal, path.name, draft.body, evidence)
    for skill, score, shared in overlaps(draft.name, draft.description, existing):
        if skill.is_result and skill.folder not in (*wish.updates, *wish.supersedes, *wish.apart):
            proposal.refused.append(_overlap(draft.name, skill.folder, score, shared))
    if old is not None and draft.name not in wish.updates:
        proposal.refused.append(f"{draft.name}: is there already; say --update {draft.name} to change it")
    if missing := missing_sections(draft.body):
        proposal.refused.append(f"{draft.name}: no section {', '.join(missing)}")
    text, taken_out = scrub(_clean_skill(draft, old, wish, desk.domain, desk.provenance), registry.root)
    if taken_out:
        kinds = sorted({each.kind for each in taken_out})
        proposal.notes.append(f"{draft.name}: taken out: {', '.join(kinds)}")
    proposal.refused += [f"{draft.name}: {fault}" for fault in faults_of(text, draft.name)]
    change = Change(SKILL, draft.name, text, why="update" if old else "new")
    if proposal.refused:
        return []
    before = hash_of(targets(registry, change))
    changes = [msgspec.structs.replace(change, before=before)]
    if registry.path is not None:
        entry = {"type": "result", "description": one_line(scrub(draft.description, registry.root)[0], 200)}
        changes.append(
            Change(REGISTRY, draft.name, data={**entry, "created": _created(old)}, why="registry entry")
        )
    else:
        proposal.notes.append("there is no registry.json; `cairn retro adopt` can propose one")
    return changes


def _overlap(name: str, other: str, score: float, shared: str) -> str:
    ways = f"update it (--update {other}), replace it (--supersedes {other}) or keep both (--apart {other})"
    return f"{name}: `{other}` may hold this already (likeness {score}; shared: {shared or 'words'}); {ways}"


def _clean_skill(draft: Skill, old: Skill | None, wish: Wish, domain: Domain, provenance: Provenance) -> str:
    """The draft in strict form, with what the old skill knew of itself and where its numbers come from."""
    kept = {
        key: value
        for key, value in {**(old.metadata if old else {}), **draft.metadata}.items()
        if isinstance(value, str)
    }
    metadata = {
        **kept,
        "short-description": kept.get("short-description") or one_line(draft.description, 70),
        "tags": kept.get("tags") or ", ".join(draft.name.split("-")),
        "domain": domain.name,
        "created": _created(old),
        "status": "active",
    }
    if old is not None:
        metadata["updated"] = date.today().isoformat()
    if wish.supersedes:
        metadata["supersedes"] = ", ".join(wish.supersedes)
    metadata.setdefault("confidence", "observed once")
    return render(draft.name, draft.description, metadata, _with_references(draft.body, provenance))


def _with_references(body: str, provenance: Provenance) -> str:
    """The body with its environment, commit, cost and evidence below References, once."""
    lines = provenance.lines()
    body = re.sub(r"(?ms)^### Provenance\n.*?(?=^#{1,3} |\Z)", "", body).rstrip()
    if not re.search(r"(?mi)^##\s+References\s*$", body):
        body += "\n\n## References"
    return body + "\n\n### Provenance\n\n" + "\n".join(lines) + "\n"


def _created(old: Skill | None) -> str:
    return (old.metadata.get("created") if old else None) or date.today().isoformat()


def _superseded(registry: Registry, existing: Sequence[Skill], wish: Wish, names: Sequence[str]) -> list[Change]:
    """Mark the skills that the new one replaces; their text stays."""
    changes = []
    for skill in existing:
        if skill.folder in wish.supersedes and names and not skill.fault:
            metadata = {
                **skill.metadata,
                "status": "superseded",
                "superseded-by": names[0],
                "updated": date.today().isoformat(),
            }
            text, _ = scrub(render(skill.folder, skill.description, metadata, skill.body), registry.root)
            change = Change(SKILL, skill.folder, text, why=f"superseded by {names[0]}")
            changes.append(msgspec.structs.replace(change, before=hash_of(targets(registry, change))))
    return changes


def _guide_changes(registry: Registry, proposal: Proposal, wish: Wish, domain: Domain) -> list[Change]:
    path = guide_path(registry)
    guide = read_guide(path.read_text(encoding="utf-8") if path.is_file() else "")
    changes = []
    for entry in wish.guide:
        missing = [
            key for key in ("pattern", "symptom", "cause", "solution") if not str(entry.get(key) or "").strip()
        ]
        if missing:
            proposal.refused.append(
                f"guide entry: no {', '.join(missing)}; an error without a known fix is no entry"
            )
            continue
        if any(each.pattern.casefold() == str(entry["pattern"]).casefold() for each in guide.entries):
            proposal.notes.append(f"guide: `{entry['pattern']}` is there already")
            continue
        clean = {
            key: scrub(str(entry[key]), registry.root)[0] for key in ("pattern", "symptom", "cause", "solution")
        }
        data = {**clean, "date": date.today().isoformat(), "domain": domain.name}
        changes.append(Change(GUIDE, str(entry["pattern"]), data=data, why="new pattern"))
    return changes


def _log_changes(
    registry: Registry, proposal: Proposal, wish: Wish, parts: Iterable[tuple[str, Sequence[str]]]
) -> list[Change]:
    path = log_path(registry)
    if path is None:
        proposal.notes.append("the project has no experiment log")
        return []
    if not path.is_file():
        proposal.notes.append(f"the log {path.name} is not there yet and would be started")
    draft = log_draft(registry, wish.subject, wish.description, parts)
    return [Change(LOG, wish.subject, data=msgspec.to_builtins(draft), why="log entry")]


def log_draft(
    registry: Registry, subject: str, description: str, parts: Iterable[tuple[str, Sequence[str]]]
) -> Draft:
    """The entry that a summary becomes, scrubbed."""
    clean = [(name, [scrub(line, registry.root)[0] for line in lines]) for name, lines in parts]
    first = next((line.lstrip("- ") for name, lines in clean if name == "Key findings" for line in lines), subject)
    return Draft(date.today().isoformat(), one_line(subject, 120), one_line(description or first, 240), clean)


def hash_of(paths: Sequence[Path]) -> str | None:
    """SHA-256 of the first of these files that is there; None when none is."""
    path = next((each for each in paths if each.is_file()), None)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else None
