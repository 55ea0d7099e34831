"""`cairn retro`: from a request to findings with evidence, and from an approved plan to skills and log entries."""

from pathlib import Path
from typing import Any

import click

from cairn.cli.output import emit, json_option, registry_option, root_option, say
from cairn.cli.retro_advise import advise
from cairn.cli.retro_compare import compare, draft
from cairn.cli.retro_evidence import check, collect, facts
from cairn.cli.retro_plans import apply, diff, log, propose
from cairn.cli.retro_project_care import adopt, domains
from cairn.cli.retro_report import report
from cairn.errors import UsageError
from cairn.registry import Registry, load_registry
from cairn.retro.candidates import Candidate, Selection, select
from cairn.retro.log import is_date


@click.group()
def retro() -> None:
    """Findings with evidence out of reports, logs and runs; skills and log entries out of approved plans."""


for _command in (collect, facts, compare, draft, check, propose, diff, apply, log, domains, adopt, advise, report):
    retro.add_command(_command)


@retro.command()
@click.argument("words", nargs=-1)
@click.option("--since", metavar="YYYY-MM-DD", help="Leave out what is older or has no date.")
@click.option("--limit", default=20, show_default=True, help="Print at most this many.")
@root_option
@registry_option
@json_option
def candidates(
    words: tuple[str, ...],
    since: str | None,
    limit: int,
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
) -> None:
    """List what a retrospective could be about, best match first.

    WORDS are the user's own words. `unclear` says why the user must be asked which candidates are meant.

    \b
    Example:
      cairn retro candidates softmax block sizes --since 2026-03-01 --json
    """
    if since is not None and not is_date(since):
        raise UsageError(f"`{since}` is not a date", hint="write it as YYYY-MM-DD")
    registry = load_registry(root or Path.cwd(), registry_path)
    selection = select(registry, " ".join(words), since)
    for warning in (*registry.warnings, *selection.warnings):
        say(f"cairn: {warning}")
    emit(_data(registry, selection, limit), as_json, lambda: _listing(selection, limit))


def _data(registry: Registry, selection: Selection, limit: int) -> dict[str, Any]:
    paths = registry.paths
    places = {
        "reports": paths.reports,
        "experiment_log": paths.experiment_log,
        "troubleshooting": paths.troubleshooting,
        "templates": paths.templates,
    }
    return {
        "root": str(registry.root),
        "registry": None if registry.path is None else str(registry.path),
        "domain": registry.domain,
        "paths": {name: None if path is None else str(path) for name, path in places.items()},
        "words": selection.words,
        "unclear": selection.unclear,
        "looked_at": selection.looked_at,
        "total": len(selection.candidates),
        "candidates": [_row(each) for each in selection.candidates[:limit]],
    }


def _row(candidate: Candidate) -> dict[str, Any]:
    hidden = ("text", "matched")
    return {key: value for key, value in vars(candidate).items() if key not in hidden}


def _listing(selection: Selection, limit: int) -> str:
    lines = []
    for each in selection.candidates[:limit]:
        place = each.path if each.line is None else f"{each.path}:{each.line}"
        lines.append(f"{each.date or 'no date':<10}  {each.title}  ({place}; {', '.join(each.why)})")
    lines.append(f"{len(selection.candidates)} of {selection.looked_at} candidates")
    if selection.unclear:
        lines.append(f"unclear: {selection.unclear}")
    return "\n".join(lines)
