"""`cairn retro adopt` and `domains`: the state of a project that another pack set up, and the words it uses."""

import json
from pathlib import Path
from typing import Any

import click

from cairn.cli.output import dry_run_option, emit
from cairn.cli.retro_project import limit_option, project_options
from cairn.errors import BadInput
from cairn.journal import write_atomic
from cairn.registry import load_registry
from cairn.retro.adopt import Adoption, starting_registry
from cairn.retro.adopt import adopt as adopt_project
from cairn.retro.plan import save_plan
from cairn.retro.vocabulary import domain_files, faults_of, load_domains, read_domain


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
