"""`cairn retro adopt`, `domains` and `advise`: a project's words, its state, and what to try next."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from cairn.cli.output import dry_run_option, emit
from cairn.cli.retro_compare import comparison
from cairn.cli.retro_project import Project, limit_option, open_project, project_options
from cairn.errors import BadInput, UsageError
from cairn.journal import write_atomic
from cairn.registry import load_registry
from cairn.retro.adopt import Adoption, starting_registry
from cairn.retro.adopt import adopt as adopt_project
from cairn.retro.advice import COLUMNS, OUTCOMES, confidence_of, read_advice, record_advice, settle, table
from cairn.retro.candidates import select
from cairn.retro.plan import SKILL, Change, Plan, preview, save_plan, targets
from cairn.retro.propose import hash_of
from cairn.retro.skillfile import Skill, read_skills, render
from cairn.retro.vocabulary import domain_files, faults_of, load_domains, read_domain
from cairn.text.table import table as markdown_table


@click.command()
@click.option("--start-registry", is_flag=True, help="Write a registry.json where there is none.")
@limit_option(60)
@dry_run_option
@project_options
def adopt(
    start_registry: bool, limit: int, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool
) -> None:
    """Look at a project that another pack set up, say what is off, and propose what mends it.

    Works on the project as it is: registry present, missing or out of step. Nothing is changed; the plan it names
    goes through `cairn retro diff` and `cairn retro apply` like any other. Exit code 1 means there are findings.

    \b
    Example:
      cairn retro adopt --json
    """
    registry = load_registry(root or Path.cwd(), registry_path)
    if start_registry and (start := starting_registry(registry)):
        path, text = start
        if not dry_run:
            write_atomic(path, text)
        emit(
            {"written": [] if dry_run else [str(path)], "registry": json.loads(text)},
            as_json,
            text if dry_run else str(path),
        )
        return
    found = adopt_project(registry)
    plan = found.plan
    if plan is not None and not dry_run:
        save_plan(registry, plan)
    data = {
        "ok": not found.faults,
        "found": found.found,
        "faults": [vars(each) for each in found.faults[:limit]],
        "faults_total": len(found.faults),
        "plan": plan.id if plan else None,
        "changes": [
            {"n": n, "kind": each.kind, "name": each.name, "why": each.why}
            for n, each in enumerate(plan.changes if plan else [], 1)
        ],
    }
    emit(data, as_json, lambda: _adopted(found, limit))
    if found.faults:
        raise click.exceptions.Exit(1)


def _adopted(found: Adoption, limit: int) -> str:
    lines = [
        f"{key}: {', '.join(value) if isinstance(value, list) else value}" for key, value in found.found.items()
    ]
    for each in found.faults[:limit]:
        place = each.path if each.line is None else f"{each.path}:{each.line}"
        lines.append(f"{place}: {each.code}: {each.message}{' [in the plan]' if each.mends else ''}")
    lines.append(f"{len(found.faults)} findings")
    if found.plan:
        lines.append(
            f"plan {found.plan.id} mends {len(found.plan.changes)}; see: cairn retro diff {found.plan.id}"
        )
    return "\n".join(lines)


@click.command()
@click.option(
    "--check", "checking", is_flag=True, help="Validate all domain files; exit code 1 when one has a fault."
)
@project_options
def domains(checking: bool, root: Path | None, registry_path: Path | None, as_json: bool) -> None:
    """List the domains: what each extracts, how its skills are named, which metrics it knows.

    A project adds one with a YAML file below domains/ or .cairn/domains; no code is needed.

    \b
    Example:
      cairn retro domains --check
    """
    registry = load_registry(root or Path.cwd(), registry_path)
    if checking:
        _check_domains(registry.root, as_json)
        return
    known = load_domains(registry.root)
    data = {
        "domain": registry.domain,
        "domains": [
            {
                "name": each.name,
                "title": each.title,
                "path": each.path,
                "extract": list(each.extract),
                "focus": list(each.focus),
                "name_pattern": each.name_pattern,
                "examples": list(each.examples),
                "metrics": {name: way for name, way in each.better.items() if way != "none"},
            }
            for each in known.values()
        ],
    }
    emit(
        data,
        as_json,
        "\n".join(f"{each.name:<10} {each.title}; skills: {each.name_pattern}" for each in known.values()),
    )


def _check_domains(root: Path, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for path, origin in domain_files(root):
        try:
            faults = faults_of(read_domain(path))
        except BadInput as error:
            faults = [str(error)]
        rows.append({"path": str(path), "origin": origin, "faults": faults})
    bad = [f"{row['path']}: {fault}" for row in rows for fault in row["faults"]]
    emit(
        {"ok": not bad, "files": rows}, as_json, "\n".join([*bad, f"{len(rows)} domain files, {len(bad)} faults"])
    )
    if bad or not rows:
        raise click.exceptions.Exit(1)


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
    return {
        "skills": [
            {
                "name": each.folder,
                "path": each.path,
                "description": each.description[:240],
                "status": each.status,
                **vars(confidence_of(each, advice)),
            }
            for each in ranked[:limit]
        ],
        "reports": [
            {"path": each.path, "title": each.title, "date": each.date, "line": each.line}
            for each in selection.candidates[:limit]
        ]
        if selection
        else [],
        "best": [
            {
                "metric": board.metric,
                "run": best.run.name,
                "raw": best.value.fact.raw,
                "where": best.value.fact.where,
                "settings": {key: fact.raw for key, fact in list(best.run.parameters.items())[:12]},
            }
            for board in found.boards[:limit]
            if board.direction and (best := board.entries[0]).run.trusted
        ],
        "failures": [
            {
                "text": each.text[:200],
                "seen": len(each.notes),
                "fix": each.fix.solution[:200] if each.fix else None,
            }
            for each in found.failures[:limit]
        ],
        "questions": [each.text[:200] for each in found.questions if not each.answered_by][:limit],
        "unsettled": [
            {
                "advice": each.advice,
                "id": each.id,
                "description": each.description,
                "expected": each.expected,
                "date": each.date,
            }
            for each in advice
            if each.outcome is None
        ][:limit],
    }
