"""What the learnings commands share: where the file is, how an entry becomes a row, how a change is shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cairn.cli.output import F, emit, json_option, registry_option, root_option, say
from cairn.errors import UsageError
from cairn.learnings.edit import Edit
from cairn.learnings.evidence import Evidence, evidence_of
from cairn.learnings.history import ids_in_history
from cairn.learnings.identity import KINDS, EntryId
from cairn.learnings.model import Document, Entry
from cairn.learnings.parse import parse
from cairn.learnings.store import archive_path, archived_ids, change_file, preview, read_document
from cairn.registry import load_registry
from cairn.text.diff import unified


def project_options(command: F) -> F:
    """`--root`, `--registry` and `--json`."""
    return root_option(registry_option(json_option(command)))


def learnings_path(root: Path | None, registry_path: Path | None) -> Path:
    """The learnings file of the project; what the registry warns of goes to stderr."""
    registry = load_registry(root or Path.cwd(), registry_path)
    for warning in registry.warnings:
        say(f"cairn: {warning}")
    return registry.paths.learnings


def document_of(path: Path) -> Document:
    """The file as it is; empty when it is not there, with a word if it seems to be misnamed."""
    document = read_document(path)
    other = path.with_name("AGENTS.md")
    if not path.exists() and other.is_file() and read_document(other).entries:
        say(f"cairn: {path.name} is not there, but {other.name} holds learnings; was it misnamed?")
        return parse("")
    return document


def used_elsewhere(path: Path) -> list[EntryId]:
    """Ids that other branches, earlier versions and the archive have used."""
    return [*ids_in_history(path), *archived_ids(path)]


def row(entry: Entry, evidence: Evidence | None = None) -> dict[str, Any]:
    """An entry as JSON without its text."""
    found = evidence or evidence_of(entry)
    return {
        "id": entry.id,
        "type": entry.kind,
        "title": entry.title,
        "section": entry.section.title if entry.section else None,
        "date": entry.date,
        "status": found.status,
        "confidence": found.confidence,
        "scope": dict(found.scope),
        "line": entry.span.first,
        "last_line": entry.span.last,
    }


def write(path: Path, change: Callable[[str], Edit], *, dry_run: bool, as_json: bool, done: str) -> None:
    """Make one change, or show it; `done`: what to say, with the ids in place of `{ids}`."""
    existed = path.exists()
    edit = preview(path, change) if dry_run else change_file(path, change)
    diff = unified(edit.before, edit.after, path.name, exists=existed)
    data = {
        "path": str(path),
        "ids": list(edit.ids),
        "made_sections": list(edit.sections),
        "written": not dry_run and edit.after != edit.before,
        "diff": diff,
    }
    if edit.archived:
        data["archive"] = str(archive_path(path))
    emit(data, as_json, diff if dry_run else done.format(ids=", ".join(edit.ids), path=path))


def pairs_of(values: tuple[str, ...], option: str) -> list[tuple[str, str]]:
    """`LABEL=TEXT` arguments, cut at the first equals sign.

    Raises:
        UsageError: one has none.
    """
    pairs = [value.partition("=") for value in values]
    if wrong := next((label for label, equals, _ in pairs if not equals), None):
        raise UsageError(f"{option} `{wrong}` has no `=`", hint=f"write {option} 'NAME=text'")
    return [(label, value) for label, _, value in pairs]


type_option = click.option("--type", "kind", type=click.Choice(KINDS), help="Only this series.")
line_option = click.option("--line", type=int, help="The line of the entry, where an id stands twice.")
date_option = click.option("--date", metavar="YYYY-MM-DD", help="The day of the finding. Default: today.")
