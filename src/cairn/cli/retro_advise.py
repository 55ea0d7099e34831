"""`cairn retro advise`: what the next experiments can lean on, and what became of earlier advice."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from cairn.cli.output import emit
from cairn.cli.retro_compare import Comparison, comparison
from cairn.cli.retro_project import Project, limit_option, open_project, project_options
from cairn.errors import BadInput, UsageError
from cairn.retro.advice import (
    COLUMNS,
    OUTCOMES,
    Experiment,
    confidence_of,
    read_advice,
    record_advice,
    settle,
    table,
)
from cairn.retro.candidates import select
from cairn.retro.plan import SKILL, Change, Plan, preview, save_plan, targets
from cairn.retro.propose import hash_of
from cairn.retro.skillfile import Skill, read_skills, render
from cairn.text.table import table as markdown_table


@click.command()
@click.argument("words", nargs=-1)
@click.option(
    "--record",
    "record_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Write down advice: YAML or JSON with goal and 2 to 5 experiments.",
)
@click.option(
    "--settle", "settled", nargs=2, metavar="ADVICE EXPERIMENT", help="Say what became of one experiment."
)
@click.option("--outcome", type=click.Choice(OUTCOMES), help="With --settle: whether it held.")
@click.option("--evidence", default="", help="With --settle: the path and line that show it.")
@limit_option(8)
@project_options
def advise(
    words: tuple[str, ...], root: Path | None, registry_path: Path | None, as_json: bool, **options: Any
) -> None:
    """Gather what the next experiments can lean on; record advice; settle what became of it.

    Without options: result skills with their confidence, matching reports and log entries, best known settings,
    failures with known fixes, open questions, and earlier advice that nobody settled yet.

    \b
    Example:
      cairn retro advise softmax block size --json
    """
    with open_project(root, registry_path) as project:
        skills = read_skills(project.root)
        if options["settled"]:
            data = _settle(project, options["settled"], options["outcome"], options["evidence"], skills)
        elif options["record_file"]:
            data = _record(project, options["record_file"], skills)
        else:
            data = _material(project, words, skills, options["limit"])
    emit(data, as_json, lambda: data.get("table") or json.dumps(data, indent=1, ensure_ascii=False, default=str))


def _record(project: Project, path: Path, skills: list[Skill]) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"not YAML: {error}", path=path) from error
    if (
        not isinstance(data, dict)
        or not isinstance(data.get("experiments"), list)
        or not all(isinstance(each, dict) for each in data["experiments"])
    ):
        raise BadInput(
            "has no list `experiments`",
            path=path,
            hint="goal: ..., experiments: [{id, description, key_differences, expected, based_on}]",
        )
    advice = record_advice(
        project.root, str(data.get("goal") or ""), data["experiments"], [skill.folder for skill in skills], path
    )
    rows = markdown_table(COLUMNS, table(data["experiments"]))
    return {
        "advice": advice,
        "experiments": [each["id"] for each in data["experiments"]],
        "table": "\n".join(rows),
    }


def _settle(
    project: Project, settled: tuple[str, str], outcome: str | None, evidence: str, skills: list[Skill]
) -> dict[str, Any]:
    if outcome is None:
        raise UsageError("--settle needs --outcome", hint=f"one of {', '.join(OUTCOMES)}")
    settle(project.root, *settled, outcome, evidence)
    advice = read_advice(project.root)
    plan = _confidence_plan(project, skills)
    based = {name for each in advice if (each.advice, each.id) == settled for name in each.based_on}
    data: dict[str, Any] = {"advice": settled[0], "experiment": settled[1], "outcome": outcome}
    data["confidence"] = [vars(confidence_of(skill, advice)) for skill in skills if skill.folder in based]
    if plan is not None:
        save_plan(project.registry, plan)
        data |= {"plan": plan.id, "patch": preview(project.registry, plan)[:6000]}
    return data


def _confidence_plan(project: Project, skills: list[Skill]) -> Plan | None:
    """A plan that writes moved confidence into the skills; None when none moved."""
    advice = read_advice(project.root)
    changes = []
    for skill in skills:
        found = confidence_of(skill, advice)
        if not skill.fault and found.held + found.failed and found.word != skill.metadata.get("confidence"):
            text = render(
                skill.folder, skill.description, {**skill.metadata, "confidence": found.word}, skill.body
            )
            change = Change(
                SKILL,
                skill.folder,
                text,
                why=f"confidence: {found.word} (held {found.held}, failed {found.failed})",
            )
            changes.append(msgspec.structs.replace(change, before=hash_of(targets(project.registry, change))))
    return Plan("advice", "", changes) if changes else None


def _material(project: Project, words: tuple[str, ...], skills: list[Skill], limit: int) -> dict[str, Any]:
    advice = read_advice(project.root)
    selection = select(project.registry, " ".join(words)) if project.collected.rows else None
    paths = {each.path for each in selection.candidates} if selection else set()
    documents = [
        each
        for each in project.store.documents()
        if not words or each.path in paths or each.kind in ("guide", "log")
    ]
    found = comparison(project, documents, {})
    wanted = {word for each in words for word in each.casefold().split()}
    ranked = sorted(
        (skill for skill in skills if skill.is_result),
        key=lambda each: -sum(word in each.text.casefold() for word in wanted),
    )
    reports = selection.candidates[:limit] if selection else ()
    open_questions = [each.text[:200] for each in found.questions if not each.answered_by]
    return {
        "skills": [_skill(each, advice) for each in ranked[:limit]],
        "reports": [
            {"path": each.path, "title": each.title, "date": each.date, "line": each.line} for each in reports
        ],
        "best": _best(found, limit),
        "failures": [
            {
                "text": each.text[:200],
                "seen": len(each.notes),
                "fix": each.fix.solution[:200] if each.fix else None,
            }
            for each in found.failures[:limit]
        ],
        "questions": open_questions[:limit],
        "unsettled": [_unsettled(each) for each in advice if each.outcome is None][:limit],
    }


def _skill(skill: Skill, advice: list[Experiment]) -> dict[str, Any]:
    told = {
        "name": skill.folder,
        "path": skill.path,
        "description": skill.description[:240],
        "status": skill.status,
    }
    return {**told, **vars(confidence_of(skill, advice))}


def _best(found: Comparison, limit: int) -> list[dict[str, Any]]:
    """The best trusted run of each metric whose direction is known, with its settings."""
    return [
        {
            "metric": board.metric,
            "run": best.run.name,
            "raw": best.value.fact.raw,
            "where": best.value.fact.where,
            "settings": {key: fact.raw for key, fact in list(best.run.parameters.items())[:12]},
        }
        for board in found.boards[:limit]
        if board.direction and (best := board.entries[0]).run.trusted
    ]


def _unsettled(each: Experiment) -> dict[str, Any]:
    names = ("advice", "id", "description", "expected", "date")
    return {name: getattr(each, name) for name in names}
