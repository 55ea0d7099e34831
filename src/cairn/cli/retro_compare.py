"""`cairn retro compare` and `draft`: what the numbers say, ranked and paired, and a first draft of the summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cairn.cli.output import emit
from cairn.cli.retro_evidence import evidence_of
from cairn.cli.retro_project import (
    Project,
    direction_option,
    directions,
    limit_option,
    open_project,
    project_options,
    short,
    sources_argument,
)
from cairn.journal import write_atomic
from cairn.retro.compare import Board, Pair, SameStep, leaderboards, pairs, same_step
from cairn.retro.draft import draft_summary
from cairn.retro.facts import Document
from cairn.retro.failures import Failure, failures
from cairn.retro.guide import GuideEntry, read_guide
from cairn.retro.ingest.text import decode
from cairn.retro.progress import Series, series_of
from cairn.retro.questions import Question, questions
from cairn.retro.runs import Run, runs_of
from cairn.retro.skillfile import read_skills
from cairn.retro.sources import guide_path
from cairn.retro.stale import Clash, changed_values, corrections, stale_skills, superseded


@dataclass(frozen=True)
class Comparison:
    """Everything that is computed from some documents."""

    documents: list[Document]
    runs: list[Run]
    boards: list[Board]
    pairs: list[Pair]
    steps: list[SameStep]
    failures: list[Failure]
    questions: list[Question]
    series: list[Series]


def comparison(project: Project, documents: list[Document], told: dict[str, str]) -> Comparison:
    """Compare the runs of some documents."""
    runs = runs_of(documents, project.domain)
    return Comparison(
        documents,
        runs,
        leaderboards(runs, project.domain, told),
        pairs(runs, project.domain, told),
        same_step(runs),
        failures(documents, guide_entries(project)),
        questions(documents),
        series_of(documents, project.domain, told),
    )


def guide_entries(project: Project) -> Sequence[GuideEntry]:
    """The patterns of the troubleshooting guide; none when there is no guide."""
    path = guide_path(project.registry)
    return read_guide(decode(path.read_bytes())[0]).entries if path.is_file() else ()


@click.command()
@sources_argument
@direction_option
@limit_option(8)
@project_options
def compare(
    sources: tuple[str, ...],
    since: str | None,
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Rank runs, pair those that differ in one parameter, cluster failures, and list what is open or overtaken.

    A gain below the spread of repeated runs is `within_noise`; pairs that differ in more than one parameter are
    `confounded`. Without a known direction nothing is ranked as best.

    \b
    Example:
      cairn retro compare training_reports --direction reward=higher --json
    """
    with open_project(root, registry_path) as project:
        found = comparison(project, project.documents(sources, since), directions(options["told"]))
        data = _data(project, found, options["limit"])
    emit(data, as_json, lambda: "\n".join([_text(found, options["limit"]), *map(_clash, data["contradictions"])]))


def _clash(clash: dict[str, Any]) -> str:
    return f"against: {clash['old']} <- {clash['new']}: {clash['message']}"


def _data(project: Project, found: Comparison, limit: int) -> dict[str, Any]:
    clashes, old = _clashes(project, found)
    controlled = [pair for pair in found.pairs if pair.controlled]
    confounded = [pair for pair in found.pairs if not pair.controlled]
    return {
        "runs": len(found.runs),
        "untrusted_runs": sum(not run.trusted for run in found.runs),
        "leaderboards": [_board(board, limit) for board in found.boards[:limit]],
        "leaderboards_total": len(found.boards),
        "controlled_pairs": [_pair(pair) for pair in controlled[:limit]],
        "controlled_total": len(controlled),
        "confounded_pairs": [_pair(pair) for pair in confounded[:limit]],
        "confounded_total": len(confounded),
        "same_step": [_steps(each, limit) for each in found.steps[:limit]],
        "failures": [_failure(each) for each in found.failures[:limit]],
        "failures_total": len(found.failures),
        "series": [_series(each) for each in found.series[:limit]],
        "questions": [_question(each) for each in found.questions if not each.answered_by][:limit],
        "questions_open": sum(not each.answered_by for each in found.questions),
        "questions_answered": sum(bool(each.answered_by) for each in found.questions),
        "contradictions": [vars(each) for each in clashes[:limit]],
        "superseded_skills": [each.path for each in old][:limit],
    }


def _clashes(project: Project, found: Comparison) -> tuple[list[Clash], list[Any]]:
    skills = read_skills(project.root)
    clashes = [*corrections(found.documents), *changed_values(found.documents, project.domain)]
    if skills and found.documents:
        clashes += stale_skills(skills, evidence_of(project, found.documents))
    return clashes, superseded(skills)


def _board(board: Board, limit: int) -> dict[str, Any]:
    rows = []
    for place, entry in enumerate(board.entries[:limit], 1):
        row = {
            "place": place if board.direction else None,
            "run": entry.run.name,
            "raw": entry.value.fact.raw,
            "unit": entry.value.fact.unit,
            "gain_percent": short(None if entry.gain is None else entry.gain * 100),
            "within_noise": entry.within_noise or None,
            "untrusted": not entry.run.trusted or None,
            "where": entry.value.fact.where,
        }
        rows.append({key: value for key, value in row.items() if value is not None})
    return {
        "metric": board.metric,
        "source": board.source or None,
        "better": board.direction,
        "baseline": board.baseline.name if board.baseline else None,
        "spread": short(board.spread),
        "runs": len(board.entries),
        "rows": rows,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "changes": [{"parameter": name, "from": before, "to": after} for name, before, after in pair.changes[:6]],
        "metric": pair.metric,
        "from": f"{pair.before.fact.raw} ({pair.before.fact.where})",
        "to": f"{pair.after.fact.raw} ({pair.after.fact.where})",
        "change_percent": short(None if pair.relative is None else pair.relative * 100),
        "better": pair.better,
        "within_noise": pair.within_noise,
    }


def _steps(each: SameStep, limit: int) -> dict[str, Any]:
    values = [
        {"run": run.name, "raw": value.fact.raw, "where": value.fact.where} for run, value in each.values[:limit]
    ]
    return {"metric": each.metric, "step": each.step, "values": values}


def _failure(each: Failure) -> dict[str, Any]:
    dates = sorted(each.dates)
    return {
        "text": each.text[:300],
        "effect": each.effect[:300] or None,
        "seen": len(each.notes),
        "first": dates[0] if dates else None,
        "last": dates[-1] if dates else None,
        "fix": None
        if each.fix is None
        else {"pattern": each.fix.pattern, "solution": each.fix.solution[:300], "line": each.fix.line},
        "where": [f"{note.path}:{note.line}" for note in each.notes[:4]],
    }


def _series(each: Series) -> dict[str, Any]:
    return {
        "path": each.path,
        "metric": each.metric,
        "better": each.direction,
        "tries": len(each.tries),
        "kept": each.kept,
        "lost": each.lost,
        "since_last_kept": each.flat,
        "plateau": each.plateau,
        "cost_s": short(each.cost_s),
        "cost_per_kept_s": short(each.cost_per_gain_s),
        "running_best": [short(one.best) for one in each.tries[-12:]],
    }


def _question(each: Question) -> dict[str, Any]:
    return {
        "text": each.text[:300],
        "since": each.date,
        "asked": each.seen,
        "where": f"{each.first.path}:{each.first.line}",
    }


def _text(found: Comparison, limit: int) -> str:
    lines = []
    for board in found.boards[:limit]:
        way = f"{board.direction} is better" if board.direction else "no direction known"
        lines.append(f"{board.metric} ({way}), {len(board.entries)} runs of {board.source or 'a file each'}")
        for entry in board.entries[:limit]:
            gain = (
                ""
                if entry.gain is None
                else f"  {entry.gain * 100:+.1f} %{' (noise)' if entry.within_noise else ''}"
            )
            lines.append(f"  {entry.value.fact.raw:>14}  {entry.run.name}{gain}  [{entry.value.fact.where}]")
    for pair in [pair for pair in found.pairs if pair.controlled][:limit]:
        name, before, after = pair.changes[0]
        lines.append(f"{name} {before} -> {after}: {pair.metric} {pair.before.fact.raw} -> {pair.after.fact.raw}")
    lines += [f"failed {len(each.notes)}x: {each.text[:100]}" for each in found.failures[:limit]]
    lines += [f"open: {each.text[:100]}" for each in found.questions if not each.answered_by][:limit]
    return "\n".join(lines) or "nothing to compare"


@click.command()
@click.argument("subject")
@sources_argument
@direction_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the draft to this file.")
@limit_option(12)
@project_options
def draft(
    subject: str,
    sources: tuple[str, ...],
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Draft the four-part summary: numbers, names and quotations with their places; the words are yours.

    \b
    Example:
      cairn retro draft "LoRA rank sweep" training_reports --out summary.md
    """
    with open_project(root, registry_path) as project:
        found = comparison(project, project.documents(sources, options["since"]), directions(options["told"]))
    text = draft_summary(
        subject,
        found.documents,
        found.runs,
        (found.boards, found.pairs, found.failures, found.questions),
        options["limit"],
    )
    if options["out"]:
        write_atomic(options["out"], text)
    emit(
        {"file": str(options["out"]) if options["out"] else None, "text": text},
        as_json,
        str(options["out"]) if options["out"] else text,
    )
