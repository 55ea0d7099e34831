"""`cairn retro collect`, `facts` and `check`: the evidence, and what has none."""

from pathlib import Path
from typing import Any

import click

from cairn.cli.output import emit
from cairn.cli.retro_project import Project, limit_option, open_project, project_options, sources_argument
from cairn.errors import Missing
from cairn.retro.check import Checked, check_text, counts
from cairn.retro.compare import leaderboards, pairs
from cairn.retro.evidence import Evidence
from cairn.retro.facts import Document, Fact
from cairn.retro.ingest.text import decode
from cairn.retro.runs import runs_of
from cairn.retro.skillfile import faults_of
from cairn.retro.vocabulary import fold


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--again", is_flag=True, help="Read everything, not only what changed.")
@limit_option(30)
@project_options
def collect(
    paths: tuple[Path, ...], again: bool, limit: int, root: Path | None, registry_path: Path | None, as_json: bool
) -> None:
    """Read reports, logs, result files, tracker stores and runs; only what changed since the last time.

    PATHS are further files or folders of the project that the registry does not name. The evidence is kept below
    .cairn/retro; `new` sources are those that no retrospective has used yet.

    \b
    Example:
      cairn retro collect --json
    """
    with open_project(root, registry_path, paths, again=again) as project:
        rows = project.collected.rows
        warned = [f"{row.path}: {warning}" for row in rows for warning in row.warnings]
        data: dict[str, Any] = {
            "root": str(project.root),
            "registry": None if project.registry.path is None else str(project.registry.path),
            "domain": project.registry.domain,
            "store": str(project.store.path),
            "sources": len(rows),
            "facts": sum(row.facts for row in rows),
            "notes": sum(row.notes for row in rows),
            "read_now": len(project.collected.read),
            "gone": list(project.collected.gone[:limit]),
            "new": [row.path for row in rows if row.new][:limit],
            "new_total": sum(row.new for row in rows),
            "kinds": _by(rows, "kind"),
            "readers": _by(rows, "reader"),
            "warnings": [*project.collected.warnings, *warned][:limit],
            "warnings_total": len(warned) + len(project.collected.warnings),
        }
        lines = [f"{row.facts:>6} facts  {row.kind:<8} {row.path}" for row in rows[:limit]]
        lines.append(
            f"{data['facts']} facts in {len(rows)} sources, {data['read_now']} read now, {data['new_total']} new"
        )
        emit(data, as_json, "\n".join([*lines, *map(str, data["warnings"])]))


def _by(rows: tuple[Any, ...], name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        key = getattr(row, name) or "none"
        found[key] = found.get(key, 0) + 1
    return found


@click.command()
@sources_argument
@click.option("--metric", help="Only values whose name has these words.")
@click.option("--run", "run_name", help="Only values of runs whose name has these words.")
@click.option("--settings", is_flag=True, help="Also settings in words (optimizer = adamw).")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write all that fit to this JSON file."
)
@limit_option(60)
@project_options
def facts(
    sources: tuple[str, ...],
    since: str | None,
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """List facts: every number with its unit, its exact text, and the file and line it stands on.

    SOURCES are paths, folders, globs or words of titles; none means all.

    \b
    Example:
      cairn retro facts training_reports --metric loss --json
    """
    with open_project(root, registry_path) as project:
        documents = project.documents(sources, since)
        found = [
            fact
            for document in documents
            for fact in document.facts
            if _fits(fact, options["metric"], options["run_name"], options["settings"])
        ]
        rows = [row_of(fact, project) for fact in (found if options["out"] else found[: options["limit"]])]
        if options["out"]:
            import json

            from cairn.journal import write_atomic

            write_atomic(options["out"], json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
        data = {
            "root": str(project.root),
            "sources": len(documents),
            "total": len(found),
            "file": str(options["out"]) if options["out"] else None,
            "facts": rows[: options["limit"]],
        }
        emit(
            data,
            as_json,
            lambda: "\n".join(
                [*map(_line, found[: options["limit"]]), f"{len(found)} facts in {len(documents)} sources"]
            ),
        )


def _fits(fact: Fact, metric: str | None, run_name: str | None, settings: bool) -> bool:
    if fact.value is None and not settings:
        return False
    if metric and fold(metric) not in fold(fact.name):
        return False
    return not run_name or run_name.casefold() in fact.run.casefold()


def row_of(fact: Fact, project: Project) -> dict[str, Any]:
    """A fact as JSON, without what is empty."""
    role, canonical = project.domain.classify(fact.name, fact.section, fact.unit)
    data = {
        "path": fact.path,
        "line": fact.line,
        "raw": fact.raw,
        "value": fact.value,
        "unit": fact.unit,
        "name": fact.name,
        "run": fact.run,
        "role": role,
        "metric": canonical if canonical != fold(fact.name) else None,
        "group": fact.group,
        "shape": fact.shape,
        "step": fact.step,
        "spread": fact.spread,
        "approximate": fact.has("~") or None,
        "untrusted": fact.has("u") or None,
        "place": fact.place or None,
    }
    return {
        key: value for key, value in data.items() if value not in (None, "") or key in ("line", "value", "unit")
    }


def _line(fact: Fact) -> str:
    of = f" of {fact.run}" if fact.run else ""
    return f"{fact.where}: {fact.name or '?'}{of} = {fact.raw}"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--source", "sources", multiple=True, help="Only this evidence: a path, folder, glob or word; may be repeated."
)
@limit_option(40)
@project_options
def check(
    files: tuple[Path, ...],
    sources: tuple[str, ...],
    limit: int,
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
) -> None:
    """Refuse invention: fail when a number or the name of a run in a text has no evidence.

    FILES are summaries or drafts of skills. Each finding names the line and what the evidence holds instead. A number
    may be a rounding of what a source states, or a relative change that `cairn retro compare` computes.

    \b
    Example:
      cairn retro check summary.md --json
    """
    with open_project(root, registry_path) as project:
        evidence = evidence_of(project, project.documents(sources))
        results = {str(path): check_text(path.name, decode(path.read_bytes())[0], evidence) for path in files}
        faults = {
            str(path): faults_of(decode(path.read_bytes())[0], path.parent.name)
            for path in files
            if path.name == "SKILL.md"
        }
        data = {
            "ok": not any(result.findings for result in results.values()) and not any(faults.values()),
            "evidence": len(evidence.facts),
            "files": [_checked(name, result, faults.get(name, []), limit) for name, result in results.items()],
        }
    emit(data, as_json, lambda: _report(results, faults, limit))
    if not data["ok"]:
        raise click.exceptions.Exit(1)


def evidence_of(project: Project, documents: list[Document]) -> Evidence:
    """The evidence of some documents, with what `compare` computes from them.

    Raises:
        Missing: there are no sources at all.
    """
    if not documents:
        raise Missing(
            "there is nothing to check against: no source was found",
            hint="name paths.reports in registry.json, or give PATHS to `cairn retro collect`",
        )
    evidence = Evidence(documents, project.domain, project.root)
    runs = runs_of(documents, project.domain)
    evidence.compute(leaderboards(runs, project.domain), pairs(runs, project.domain))
    return evidence


def _checked(name: str, result: Checked, faults: list[str], limit: int) -> dict[str, Any]:
    return {
        "file": name,
        "counts": counts(result),
        "findings": [
            {
                "line": each.line,
                "code": each.code,
                "what": each.what,
                "message": each.message,
                "instead": list(each.instead),
            }
            for each in result.findings[:limit]
        ],
        "form": faults,
    }


def _report(results: dict[str, Checked], faults: dict[str, list[str]], limit: int) -> str:
    lines = []
    for name, result in results.items():
        for each in result.findings[:limit]:
            lines.append(f"{name}:{each.line}: {each.code}: {each.message}")
            lines += [f"    evidence: {held}" for held in each.instead]
        lines += [f"{name}: {fault}" for fault in faults.get(name, [])]
        lines.append(f"{name}: {len(result.claims)} numbers have evidence, {len(result.findings)} findings")
    return "\n".join(lines)
