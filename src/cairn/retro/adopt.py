"""Take over a project that another pack set up, as it is: say what is off, and offer to mend it as a plan.

Nothing has to be mended for cairn to work on such a project. Every fault has a code, a place and, where a program can
mend it without guessing, a change that goes through approval like any other.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from cairn.registry import Registry
from cairn.retro.candidates import report_head
from cairn.retro.guide import read_guide
from cairn.retro.ingest.text import decode
from cairn.retro.log import read_log
from cairn.retro.plan import REGISTRY, SKILL, Change, Plan, targets
from cairn.retro.propose import hash_of
from cairn.retro.skillfile import (
    Skill,
    faults_of,
    missing_sections,
    one_line,
    overlaps,
    read_skills,
    render,
    scrub,
)
from cairn.retro.sources import guide_path, log_path, report_folders

_CORE = re.compile(r"domain-(?:advisor|retrospective)|retrospective|advise|record-learnings|hill-climb")
_ODD_YEARS = ("2000", "2100")


@dataclass(frozen=True)
class Fault:
    """Something that is off. `mends`: whether a change in the plan mends it."""

    code: str
    path: str
    line: int | None
    message: str
    mends: bool = False


@dataclass(frozen=True)
class Adoption:
    """What was found, and a plan that mends what can be mended; None when nothing can."""

    faults: tuple[Fault, ...]
    found: dict[str, Any]
    plan: Plan | None


def adopt(registry: Registry) -> Adoption:
    """Look at a project's registry, skills, log, guide and reports."""
    skills = read_skills(registry.root)
    listed, registry_faults = _registry(registry, skills)
    changes: list[Change] = []
    faults = [*registry_faults, *_log(registry), *_guide(registry), *_reports(registry), *_manifests(registry)]
    for skill in skills:
        found, change = _skill(registry, skill)
        faults += found
        changes += [change] if change else []
    if registry.path is not None:
        for skill in skills:
            if skill.folder not in listed:
                data = {
                    "type": _type(skill),
                    "description": one_line(scrub(skill.description, registry.root)[0], 200),
                }
                created = {"created": skill.metadata["created"]} if "created" in skill.metadata else {}
                changes.append(Change(REGISTRY, skill.folder, data={**data, **created}, why="on disk, not listed"))
    faults += _overlaps(skills)
    plan = Plan("adopt", date.today().isoformat(), changes) if changes else None
    return Adoption(tuple(faults), _found(registry, skills), plan)


def _found(registry: Registry, skills: list[Skill]) -> dict[str, Any]:
    log, guide = log_path(registry), guide_path(registry)
    return {
        "registry": None if registry.path is None else registry.path.relative_to(registry.root).as_posix(),
        "domain": registry.domain,
        "reports": [path.relative_to(registry.root).as_posix() for path in report_folders(registry)],
        "log": log.relative_to(registry.root).as_posix() if log and log.is_file() else None,
        "guide": guide.relative_to(registry.root).as_posix() if guide.is_file() else None,
        "skills": [skill.folder for skill in skills],
    }


def _registry(registry: Registry, skills: list[Skill]) -> tuple[set[str], list[Fault]]:
    if registry.path is None:
        return set(), [
            Fault(
                "no-registry",
                "registry.json",
                None,
                "there is no registry; defaults and the usual folders are used",
            )
        ]
    where = registry.path.relative_to(registry.root).as_posix()
    try:
        data = json.loads(decode(registry.path.read_bytes())[0])
    except ValueError:
        data = {}
    listed = data.get("skills") if isinstance(data.get("skills"), dict) else {}
    on_disk = {skill.folder for skill in skills}
    faults = [
        Fault("not-listed", skill.path, None, f"`{skill.folder}` is not in the registry", True)
        for skill in skills
        if skill.folder not in listed
    ]
    faults += [
        Fault("not-there", where, None, f"`{name}` is listed but not on disk")
        for name in sorted(set(listed) - on_disk)
    ]
    if not registry.domain:
        faults.append(Fault("no-domain", where, None, "no domain; the words of all domains are used"))
    for name in ("reports", "experiment_log", "troubleshooting", "templates"):
        path = getattr(registry.paths, name)
        if path is not None and not path.exists():
            faults.append(
                Fault(
                    "path-missing",
                    where,
                    None,
                    f"paths.{name}: {path.relative_to(registry.root).as_posix()} is not there",
                )
            )
    return set(listed), faults


def _type(skill: Skill) -> str:
    return "core" if _CORE.fullmatch(skill.folder) else "result" if skill.is_result else "project"


def _skill(registry: Registry, skill: Skill) -> tuple[list[Fault], Change | None]:
    """Faults of one skill, and the skill in strict form where only its front matter or paths are off."""
    form = faults_of(skill.text, skill.folder)
    _, taken = scrub(skill.text, registry.root)
    kinds = sorted({each.kind for each in taken})
    faults = [Fault("skill-form", skill.path, 1, fault, True) for fault in form]
    faults += (
        [Fault("private", skill.path, taken[0].line, f"holds {', '.join(kinds)} of a machine", True)]
        if taken
        else []
    )
    if not skill.is_result or _type(skill) == "core":
        return [each for each in faults if each.code == "private"] if _type(skill) == "core" else faults, None
    faults += [
        Fault("section-missing", skill.path, None, f"no section {section}")
        for section in missing_sections(skill.body)
    ]
    absent = [key for key in ("created", "tags", "domain") if key not in skill.metadata]
    if absent:
        faults.append(Fault("metadata-missing", skill.path, 1, f"no {', '.join(absent)} in metadata", True))
    if (
        not (form or taken or absent)
        or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", skill.folder)
        or not skill.path.startswith((".codex", ".agents", ".claude"))
    ):
        return faults, None
    metadata = {
        "tags": ", ".join(skill.folder.split("-")),
        "domain": registry.domain or "common",
        **_dated(skill),
        **skill.metadata,
    }
    text, _ = scrub(render(skill.folder, skill.description or skill.folder, metadata, skill.body), registry.root)
    change = Change(
        SKILL, skill.folder, text, why="; ".join([*form, *kinds, *(f"no {key}" for key in absent)])[:200]
    )
    paths = targets(registry, change)
    if skill.path not in [path.relative_to(registry.root).as_posix() for path in paths]:
        return faults, None  # it lies where plans do not write
    return faults, msgspec.structs.replace(change, before=hash_of(paths))


def _dated(skill: Skill) -> dict[str, str]:
    match = re.search(r"(?mi)^\W*created\W*:\W*(\d{4}-\d{2}-\d{2})", skill.body)
    return {"created": match[1]} if match else {}


def _log(registry: Registry) -> Iterator[Fault]:
    path = log_path(registry)
    if path is None or not path.is_file():
        yield Fault(
            "no-log",
            "references/experiment-log.md",
            None,
            "there is no experiment log; the first entry starts one",
        )
        return
    where = path.relative_to(registry.root).as_posix()
    entries = read_log(decode(path.read_bytes())[0])
    if not entries:
        yield Fault("log-empty", where, None, "holds no entry in a known grammar")
    today = date.today().isoformat()
    for entry in entries:
        if not _ODD_YEARS[0] < entry.date[:4] < _ODD_YEARS[1] or entry.date > today:
            yield Fault("odd-date", where, entry.first_line, f"{entry.date} cannot be")
        if "retrospective" in f"{entry.type} {entry.title}".casefold():
            for part in ("what failed", "open questions"):
                if part not in entry.text.casefold():
                    yield Fault("part-missing", where, entry.first_line, f"a retrospective without {part}")


def _guide(registry: Registry) -> Iterator[Fault]:
    path = guide_path(registry)
    if not path.is_file():
        yield Fault(
            "no-guide", path.relative_to(registry.root).as_posix(), None, "there is no troubleshooting guide"
        )
        return
    where = path.relative_to(registry.root).as_posix()
    guide = read_guide(decode(path.read_bytes())[0])
    seen: dict[str, int] = {}
    for entry in guide.entries:
        key = entry.pattern.casefold()
        if key in seen:
            yield Fault("pattern-twice", where, entry.line, f"`{entry.pattern}` stands on line {seen[key]} too")
        seen.setdefault(key, entry.line)
        if not entry.solution:
            yield Fault("no-solution", where, entry.line, f"`{entry.pattern}` has no solution")


def _reports(registry: Registry) -> Iterator[Fault]:
    for folder in report_folders(registry):
        for path in sorted(folder.rglob("*.md"))[:2000]:
            if not path.is_file() or not path.resolve().is_relative_to(registry.root.resolve()):
                continue
            text = decode(path.read_bytes()[:65536])[0]
            where = path.relative_to(registry.root).as_posix()
            if report_head(path.name, text)[1] is None:
                yield Fault("no-date", where, None, "no date in its name, front matter or first lines")
            todo = next(
                (
                    n
                    for n, line in enumerate(text.splitlines(), 1)
                    if re.search(r"\|\s*TODO\s*\||^\s*-?\s*TODO\b", line)
                ),
                None,
            )
            if todo:
                yield Fault("unfinished", where, todo, "has TODO where a result belongs")


def _manifests(registry: Registry) -> Iterator[Fault]:
    manifest = registry.root / ".claude-plugin" / "plugin.json"
    if manifest.is_file() and (registry.root / ".codex" / "skills").exists():
        yield Fault(
            "manifest",
            ".claude-plugin/plugin.json",
            None,
            "a plugin manifest in a project makes one host rename the project's own skills",
        )


def _overlaps(skills: list[Skill]) -> Iterator[Fault]:
    results = [skill for skill in skills if skill.is_result]
    for at, skill in enumerate(results):
        for other, score, shared in overlaps(skill.folder, skill.description, results[at + 1 :]):
            yield Fault(
                "overlap",
                skill.path,
                None,
                f"may say what `{other.folder}` says (likeness {score}; shared: {shared or 'words'})",
            )


def registry_template(domain: str, reports: str) -> str:
    """A registry for a project that has none."""
    data = {
        "domain": domain,
        "version": "1.0.0",
        "created": date.today().isoformat(),
        "skills": {},
        "paths": {
            "reports": reports,
            "experiment_log": "references/experiment-log.md",
            "troubleshooting": "references/troubleshooting.md",
        },
    }
    return json.dumps(data, indent=2) + "\n"


def starting_registry(registry: Registry) -> tuple[Path, str] | None:
    """Where a missing registry would go and what it would say; None when there is one."""
    if registry.path is not None:
        return None
    folders = report_folders(registry)
    reports = folders[0].relative_to(registry.root).as_posix() + "/" if folders else "training_reports/"
    domain = "cuda" if reports.startswith("benchmark_results") else "research"
    return registry.root / "registry.json", registry_template(domain, reports)
