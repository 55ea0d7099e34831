"""`cairn retro propose`, `diff`, `apply` and `log`: what is to be written, shown, approved and written."""

from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from cairn.cli.output import dry_run_option, emit
from cairn.cli.retro_evidence import evidence_of
from cairn.cli.retro_project import Project, limit_option, open_project, project_options
from cairn.errors import BadInput, UsageError
from cairn.registry import load_registry
from cairn.retro.apply import apply_plan, recover
from cairn.retro.check import check_text
from cairn.retro.ingest.text import decode
from cairn.retro.log_entry import parts_of_summary
from cairn.retro.plan import LOG, Change, Plan, load_plan, preview, save_plan
from cairn.retro.progress import series_of
from cairn.retro.propose import Proposal, Wish, log_draft
from cairn.retro.propose import propose as propose_plan
from cairn.retro.provenance import provenance_of

_SHOWN = 12_000


@click.command()
@click.argument("summary", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--subject", required=True, help="What the retrospective is about; the title of the log entry.")
@click.option("--description", default="", help="The log entry's one-line General description.")
@click.option(
    "--skill",
    "skills",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A draft of a result skill; may be repeated.",
)
@click.option(
    "--update", "updates", multiple=True, metavar="NAME", help="This existing skill is to be changed by its draft."
)
@click.option(
    "--supersedes", multiple=True, metavar="NAME", help="This existing skill is replaced by the new one."
)
@click.option(
    "--apart", multiple=True, metavar="NAME", help="This alike skill was looked at and stays beside the new one."
)
@click.option(
    "--guide",
    "guide_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML or JSON list of troubleshooting entries: pattern, symptom, cause, solution.",
)
@click.option(
    "--source", "sources", multiple=True, help="Only this evidence: a path, folder, glob or word; may be repeated."
)
@project_options
def propose(
    summary: Path,
    sources: tuple[str, ...],
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn a summary and drafts into a plan with an id and a patch. Writes nothing but the plan.

    Refused, with exit code 1: a number without evidence, a part of the summary that is missing, a skill that an
    existing one may cover, a form that hosts do not take. Secrets and paths of this machine are taken out.

    \b
    Example:
      cairn retro propose summary.md --subject "LoRA rank" --skill draft/SKILL.md --json
    """
    with open_project(root, registry_path) as project:
        wish = Wish(
            options["subject"],
            (summary.name, decode(summary.read_bytes())[0]),
            options["description"],
            options["skills"],
            options["updates"],
            options["supersedes"],
            _guide_entries(options["guide_file"]),
            options["apart"],
        )
        proposal = _proposal(project, wish, sources)
        data: dict[str, Any] = {
            "ok": proposal.plan is not None,
            "refused": proposal.refused,
            "notes": proposal.notes,
        }
        data["findings"] = [
            {
                "file": name,
                "line": each.line,
                "what": each.what,
                "message": each.message,
                "instead": list(each.instead),
            }
            for name, found in proposal.findings.items()
            for each in found[:20]
        ]
        if proposal.plan is not None:
            path = save_plan(project.registry, proposal.plan)
            patch = preview(project.registry, proposal.plan)
            data |= {
                "plan": proposal.plan.id,
                "file": str(path),
                "changes": _changes(proposal.plan),
                "patch_file": str(path.with_suffix(".patch")),
                "patch": patch[:_SHOWN],
            }
    emit(data, as_json, lambda: _proposed(data))
    if proposal.plan is None:
        raise click.exceptions.Exit(1)


def _proposal(project: Project, wish: Wish, sources: tuple[str, ...]) -> Proposal:
    documents = project.documents(sources)
    evidence = evidence_of(project, documents)
    texts = [wish.summary[1], *(decode(path.read_bytes())[0] for path in wish.skills)]
    checked = [check_text("text", text, evidence) for text in texts]
    provenance = provenance_of(project.registry, documents, series_of(documents, project.domain), checked)
    return propose_plan(project.registry, project.domain, evidence, wish, provenance)


def _guide_entries(path: Path | None) -> list[dict[str, Any]]:
    if path is None:
        return []
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"not YAML: {error}", path=path) from error
    entries = data if isinstance(data, list) else [data]
    if not all(isinstance(each, dict) for each in entries):
        raise BadInput("is no list of entries", path=path, hint="each has pattern, symptom, cause and solution")
    return entries


def _changes(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"n": number, "kind": each.kind, "name": each.name, "why": each.why}
        for number, each in enumerate(plan.changes, 1)
    ]


def _proposed(data: dict[str, Any]) -> str:
    if not data["ok"]:
        lines = [f"refused: {each}" for each in data["refused"]]
        return "\n".join(
            [*lines, *(f"{each['file']}:{each['line']}: {each['message']}" for each in data["findings"])]
        )
    lines = [f"{each['n']}. {each['kind']} {each['name']} ({each['why']})" for each in data["changes"]]
    return "\n".join(
        [
            f"plan {data['plan']}",
            *lines,
            *data["notes"],
            data["patch"],
            f"after approval: cairn retro apply --approve {data['plan']}",
        ]
    )


@click.command()
@click.argument("plan_id", metavar="ID")
@click.option("--only", multiple=True, type=int, help="Only this change, by its number; may be repeated.")
@project_options
def diff(
    plan_id: str, only: tuple[int, ...], root: Path | None, registry_path: Path | None, as_json: bool
) -> None:
    """Show the patch that a plan would make now.

    \b
    Example:
      cairn retro diff P-0123456789
    """
    registry = load_registry(root or Path.cwd(), registry_path)
    plan = load_plan(registry.root, plan_id)
    patch = preview(registry, plan, only or None)
    emit({"plan": plan.id, "changes": _changes(plan), "patch": patch}, as_json, patch or "nothing left to change")


@click.command()
@click.option(
    "--approve", "plan_id", required=True, metavar="ID", help="The plan that the user has seen and approved."
)
@click.option("--only", multiple=True, type=int, help="Only this change, by its number; may be repeated.")
@dry_run_option
@project_options
def apply(
    plan_id: str,
    only: tuple[int, ...],
    dry_run: bool,
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
) -> None:
    """Write an approved plan: all of its files or none, inside the skill folders, guide, log and registry only.

    Twice is the same as once. What a crash cut short is finished by the next apply.

    \b
    Example:
      cairn retro apply --approve P-0123456789
    """
    registry = load_registry(root or Path.cwd(), registry_path)
    plan = load_plan(registry.root, plan_id)
    if wrong := [number for number in only if not 1 <= number <= len(plan.changes)]:
        raise UsageError(f"--only {wrong[0]}: the plan has changes 1 to {len(plan.changes)}")
    if dry_run:
        patch = preview(registry, plan, only or None)
        emit({"plan": plan.id, "written": [], "patch": patch}, as_json, patch or "nothing left to change")
        return
    finished = recover(registry)
    applied = apply_plan(registry, plan, only or None)
    with open_project(registry.root, registry.path) as project:
        project.store.mark_distilled(plan.sources)
    data = {
        "plan": plan.id,
        "written": list(applied.written),
        "unchanged": applied.unchanged,
        "finished_from_a_crash": finished,
    }
    emit(data, as_json, "\n".join(applied.written) or "nothing to do: all of it stands already")


@click.command()
@click.argument("summary", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--subject", required=True, help="What the retrospective is about.")
@click.option("--description", default="", help="The entry's one-line General description.")
@click.option(
    "--source", "sources", multiple=True, help="Only this evidence: a path, folder, glob or word; may be repeated."
)
@dry_run_option
@limit_option(20)
@project_options
def log(
    summary: Path,
    sources: tuple[str, ...],
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Append a summary to the experiment log and nothing else, in the log's own grammar and direction.

    For runs that nobody watches: the log entry needs no approval, skills and the guide do. Numbers without evidence
    are refused; an entry that stands already is not added again.

    \b
    Example:
      cairn retro log summary.md --subject "LoRA rank"
    """
    text = decode(summary.read_bytes())[0]
    with open_project(root, registry_path) as project:
        checked = check_text(summary.name, text, evidence_of(project, project.documents(sources)))
        if checked.findings:
            found = [{"line": each.line, "message": each.message} for each in checked.findings[: options["limit"]]]
            emit(
                {"ok": False, "findings": found},
                as_json,
                "\n".join(f"{summary}:{each['line']}: {each['message']}" for each in found),
            )
            raise click.exceptions.Exit(1)
        entry = log_draft(project.registry, options["subject"], options["description"], parts_of_summary(text))
        sources_used = [claim.where.rpartition(":")[0] for claim in checked.claims]
        plan = Plan(
            options["subject"],
            entry.date,
            [Change(LOG, options["subject"], data=msgspec.to_builtins(entry))],
            sources_used,
        )
        patch = preview(project.registry, plan)
        written = [] if options["dry_run"] else list(apply_plan(project.registry, plan).written)
    data = {"ok": True, "written": written, "patch": patch[:_SHOWN]}
    emit(data, as_json, patch if options["dry_run"] else "\n".join(written) or "the entry stands already")
