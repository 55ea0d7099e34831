"""`cairn learnings`: read AGENT.md, the numbered learnings; the commands that write are in learning_edits.py."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from cairn.cli.learning_edits import add, archive, extend, merge, renumber, retract, supersede
from cairn.cli.learning_file import document_of, learnings_path, project_options, row, type_option, used_elsewhere
from cairn.cli.learning_search import search, similar
from cairn.cli.output import emit
from cairn.errors import Missing, UsageError
from cairn.learnings.archive import DEFAULT_MAX_BYTES
from cairn.learnings.edit import next_id
from cairn.learnings.evidence import STATUSES, evidence_of
from cairn.learnings.identity import KINDS, parse_id
from cairn.learnings.lint import CODES, lint
from cairn.learnings.model import Document, Entry
from cairn.learnings.search import index_line
from cairn.learnings.store import archive_path, read_archive


@click.group()
def learnings() -> None:
    """Read and extend AGENT.md: failures [F012] and successes [S007].

    The file is `paths.learnings` of registry.json, else AGENT.md in the project's folder. Files in any
    spelling of the format are read; entries that are not edited stay byte for byte.
    """


for command in (add, extend, supersede, retract, renumber, archive, merge, search, similar):
    learnings.add_command(command)


@learnings.command("list")
@type_option
@click.option("--match", "words", multiple=True, metavar="WORD", help="Only entries that hold every WORD.")
@click.option("--status", type=click.Choice(STATUSES), help="Only entries of this state.")
@click.option("--archived", is_flag=True, help="List the archive instead.")
@click.option("--limit", default=100, show_default=True, help="Print at most this many.")
@project_options
def list_entries(
    root: Path | None, registry_path: Path | None, as_json: bool, archived: bool, limit: int, **wanted: Any
) -> None:
    """List the entries, one line each: the index of what is known.

    \b
    Example:
      cairn learnings list --status active
    """
    path = learnings_path(root, registry_path)
    document = read_archive(path) if archived else document_of(path)
    path = archive_path(path) if archived else path
    entries = [entry for entry in document.entries if _wanted(entry, **wanted)]
    data = {
        "path": str(path),
        "exists": path.exists(),
        "total": len(entries),
        "entries": [row(entry) for entry in entries[:limit]],
    }
    emit(data, as_json, lambda: _listing(entries, limit, path))


def _wanted(entry: Entry, kind: str | None, words: Sequence[str], status: str | None) -> bool:
    text = entry.text.casefold()
    fits = kind in (None, entry.kind) and all(word.casefold() in text for word in words)
    return fits and status in (None, evidence_of(entry).status)


@learnings.command()
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@project_options
def show(names: tuple[str, ...], root: Path | None, registry_path: Path | None, as_json: bool) -> None:
    """Show whole entries, from the archive if they are there; an id that a file uses twice gives both.

    \b
    Example:
      cairn learnings show F012 S007
    """
    path = learnings_path(root, registry_path)
    documents = [document_of(path), read_archive(path)]
    found = [entry for name in names for entry in _find(documents, name, path)]
    data = {"path": str(path), "entries": [row(entry) | _details(entry) for entry in found]}
    emit(data, as_json, lambda: "\n".join(entry.text.rstrip() + "\n" for entry in found))


@learnings.command("next")
@type_option
@project_options
def next_free(kind: str | None, root: Path | None, registry_path: Path | None, as_json: bool) -> None:
    """Say which ids come next: one above every spelling, branch, earlier version and archived entry.

    \b
    Example:
      cairn learnings next --type failure
    """
    path = learnings_path(root, registry_path)
    document = document_of(path)
    elsewhere = used_elsewhere(path)
    ids = {each: next_id(document, each, elsewhere) for each in ([kind] if kind else KINDS)}
    emit({"path": str(path), **ids}, as_json, lambda: "\n".join(f"{each}: {name}" for each, name in ids.items()))


@learnings.command("lint", epilog="\n\n".join(f"{code}: {meaning}." for code, meaning in CODES.items()))
@click.option("--limit", default=100, show_default=True, help="Print at most this many findings.")
@click.option("--max-bytes", default=DEFAULT_MAX_BYTES, show_default=True, help="Report a larger file.")
@project_options
def check(limit: int, max_bytes: int, root: Path | None, registry_path: Path | None, as_json: bool) -> int:
    """Report what is wrong with the file; exit 1 when there is something.

    \b
    Example:
      cairn learnings lint --json
    """
    path = learnings_path(root, registry_path)
    if not path.exists():
        raise Missing(f"{path} is not there", hint="`cairn learnings add` makes it with its first entry")
    document = document_of(path)
    findings = lint(document, read_archive(path), max_bytes)
    data = {
        "path": str(path),
        "entries": len(document.entries),
        "total": len(findings),
        "findings": [msgspec.to_builtins(finding) for finding in findings[:limit]],
    }
    lines = [f"{path}:{finding.line}: {finding.code}: {finding.message}" for finding in findings[:limit]]
    lines.append(f"{len(document.entries)} entries, {len(findings)} findings")
    emit(data, as_json, "\n".join(lines))
    return 1 if findings else 0


def _find(documents: Sequence[Document], name: str, path: Path) -> tuple[Entry, ...]:
    wanted = parse_id(name.strip("[] "))
    if wanted is None:
        raise UsageError(f"`{name}` is not an id", hint="ids look like F012 or S007")
    found = next((entries for document in documents if (entries := document.find(wanted))), ())
    if not found:
        raise Missing(f"{path} has no {name}", hint="`cairn learnings list` shows what there is")
    return found


def _details(entry: Entry) -> dict[str, Any]:
    fields = [{"label": field.label, "value": field.value, "line": field.span.first} for field in entry.fields]
    evidence = evidence_of(entry)
    relations = [{"relation": word, "id": name.raw} for word, name in evidence.relations]
    claims = {"evidence": list(evidence.cites), "related": relations}
    return {**claims, "fields": fields, "text": entry.text.rstrip()}


def _listing(entries: Sequence[Entry], limit: int, path: Path) -> str:
    lines = [f"line {entry.span.first:<5} {index_line(entry, evidence_of(entry))}" for entry in entries[:limit]]
    shown = f", {limit} shown" if len(entries) > limit else ""
    return "\n".join([*lines, f"{len(entries)} entries in {path}{shown}"])
