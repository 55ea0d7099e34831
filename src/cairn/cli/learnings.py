"""`cairn learnings`: read and extend AGENT.md, the numbered learnings. Needs nothing but the file."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from cairn.cli.output import dry_run_option, emit, json_option, registry_option, root_option, say
from cairn.errors import BadInput, Missing, UsageError
from cairn.learnings.edit import Edit, NewEntry, add_to_file, edit_of, next_id
from cairn.learnings.history import ids_in_history
from cairn.learnings.identity import KINDS, parse_id
from cairn.learnings.lint import CODES, lint
from cairn.learnings.model import Document, Entry
from cairn.learnings.parse import parse, read_text
from cairn.registry import load_registry
from cairn.text.diff import unified

_type_option = click.option("--type", "kind", type=click.Choice(KINDS), help="Only this series.")


@click.group()
def learnings() -> None:
    """Read and extend AGENT.md: failures [F012] and successes [S007].

    The file is `paths.learnings` of registry.json, else AGENT.md in the project's folder. Files in any
    spelling of the format are read; entries that are not edited stay byte for byte.
    """


@learnings.command("list")
@_type_option
@click.option("--match", "words", multiple=True, metavar="WORD", help="Only entries that hold every WORD.")
@click.option("--limit", default=100, show_default=True, help="Print at most this many.")
@root_option
@registry_option
@json_option
def list_entries(
    kind: str | None,
    words: tuple[str, ...],
    limit: int,
    root: Path | None,
    registry_path: Path | None,
    as_json: bool,
) -> None:
    """List the entries, one line each."""
    path = _path(root, registry_path)
    document = _document(path)
    entries = [entry for entry in document.entries if kind in (None, entry.kind) and _holds(entry, words)]
    data = {
        "path": str(path),
        "exists": path.exists(),
        "total": len(entries),
        "entries": [_row(entry) for entry in entries[:limit]],
    }
    emit(data, as_json, lambda: _listing(entries, limit, path))


@learnings.command()
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@root_option
@registry_option
@json_option
def show(names: tuple[str, ...], root: Path | None, registry_path: Path | None, as_json: bool) -> None:
    """Show whole entries; an id that a file uses twice gives both."""
    path = _path(root, registry_path)
    document = _document(path)
    found = [entry for name in names for entry in _find(document, name, path)]
    data = {"path": str(path), "entries": [_row(entry) | _details(entry) for entry in found]}
    emit(data, as_json, lambda: "\n".join(entry.text.rstrip() + "\n" for entry in found))


@learnings.command("next")
@_type_option
@root_option
@registry_option
@json_option
def next_free(kind: str | None, root: Path | None, registry_path: Path | None, as_json: bool) -> None:
    """Say which ids come next: one above every spelling, branch and earlier version."""
    path = _path(root, registry_path)
    document = _document(path)
    elsewhere = ids_in_history(path)
    ids = {each: next_id(document, each, elsewhere) for each in ([kind] if kind else KINDS)}
    emit({"path": str(path), **ids}, as_json, lambda: "\n".join(f"{each}: {name}" for each, name in ids.items()))


@learnings.command()
@click.option("--type", "kind", type=click.Choice(KINDS), help="What the entry is.")
@click.option("--title", help="A short description.")
@click.option("--field", "fields", multiple=True, metavar="LABEL=TEXT", help="One field; repeat the option.")
@click.option("--kernel", metavar="NAME", help="The kernel it was seen with, for First seen.")
@click.option("--date", metavar="YYYY-MM-DD", help="The day it was seen. Default: today.")
@click.option(
    "--from",
    "source",
    type=click.File("rb"),
    metavar="FILE",
    help='Read entries from JSON instead, - for stdin: [{"type", "title", "kernel", "date", "fields": {...}}].',
)
@dry_run_option
@root_option
@registry_option
@json_option
def add(dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool, **given: Any) -> None:
    """Add entries at the end of their sections, in one write.

    A failure needs Symptom, Root cause and Fix; a success needs Optimization, Impact, Why it works and
    Applicable when. Other fields are kept as given. Quote with single quotes: a shell runs `backticks`.

    \b
    cairn learnings add --type failure --title 'Block of 64 lanes is refused' --kernel gdn \\
        --field 'Symptom=...' --field 'Root cause=...' --field 'Fix=...' --dry-run
    """
    path = _path(root, registry_path)
    entries = _entries(given)
    elsewhere = ids_in_history(path)
    existed = path.exists()
    edit = edit_of(path, entries, elsewhere) if dry_run else add_to_file(path, entries, elsewhere)
    diff = unified(edit.before, edit.after, path.name, exists=existed)
    emit(_result(edit, path, diff, written=not dry_run), as_json, diff if dry_run else _added(edit, path))


@learnings.command("lint", epilog="\n\n".join(f"{code}: {meaning}." for code, meaning in CODES.items()))
@click.option("--limit", default=100, show_default=True, help="Print at most this many findings.")
@root_option
@registry_option
@json_option
def check(limit: int, root: Path | None, registry_path: Path | None, as_json: bool) -> int:
    """Report what is wrong with the file; exit 1 when there is something."""
    path = _path(root, registry_path)
    if not path.exists():
        raise Missing(f"{path} is not there", hint="`cairn learnings add` makes it with its first entry")
    document = _document(path)
    findings = lint(document)
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


def _path(root: Path | None, registry_path: Path | None) -> Path:
    registry = load_registry(root or Path.cwd(), registry_path)
    for warning in registry.warnings:
        say(f"cairn: {warning}")
    return registry.paths.learnings


def _document(path: Path) -> Document:
    if path.is_dir():
        raise BadInput("a folder, not a file", path=path, hint="name a file in paths.learnings of registry.json")
    if path.exists():
        return parse(read_text(path))
    other = path.with_name("AGENTS.md")
    if other.is_file() and parse(read_text(other)).entries:
        say(f"cairn: {path.name} is not there, but {other.name} holds learnings; was it misnamed?")
    return parse("")


def _holds(entry: Entry, words: Sequence[str]) -> bool:
    text = entry.text.casefold()
    return all(word.casefold() in text for word in words)


def _find(document: Document, name: str, path: Path) -> tuple[Entry, ...]:
    wanted = parse_id(name.strip("[] "))
    if wanted is None:
        raise UsageError(f"`{name}` is not an id", hint="ids look like F012 or S007")
    found = document.find(wanted)
    if not found:
        raise Missing(f"{path} has no {name}", hint="`cairn learnings list` shows what there is")
    return found


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "type": entry.kind,
        "title": entry.title,
        "section": entry.section.title if entry.section else None,
        "date": entry.date,
        "line": entry.span.first,
        "last_line": entry.span.last,
    }


def _details(entry: Entry) -> dict[str, Any]:
    fields = [{"label": field.label, "value": field.value, "line": field.span.first} for field in entry.fields]
    return {"fields": fields, "text": entry.text.rstrip()}


def _listing(entries: Sequence[Entry], limit: int, path: Path) -> str:
    lines = [f"{entry.id:<14} line {entry.span.first:<5} {entry.title}" for entry in entries[:limit]]
    shown = f", {limit} shown" if len(entries) > limit else ""
    return "\n".join([*lines, f"{len(entries)} entries in {path}{shown}"])


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One entry as `--from` takes it."""

    type: str
    title: str
    fields: dict[str, str]
    kernel: str | None = None
    date: str | None = None


def _entries(given: dict[str, Any]) -> list[NewEntry]:
    source = given.pop("source")
    if source is None:
        return [_from_options(**given)]
    if any(given.values()):
        raise UsageError("--from stands alone", hint="put type, title, fields, kernel and date into the file")
    try:
        read = msgspec.json.decode(source.read(), type=list[_Entry])
    except msgspec.DecodeError as error:
        raise BadInput(str(error), path=source.name, hint="see `cairn learnings add --help`") from error
    if not read:
        raise BadInput("no entries", path=source.name)
    for entry in read:
        if entry.type not in KINDS:
            raise BadInput(f"`{entry.type}` is neither failure nor success", path=source.name, key="type")
    return [
        NewEntry(each.type, each.title, tuple(each.fields.items()), each.kernel, _date(each.date)) for each in read
    ]


def _from_options(
    kind: str | None, title: str | None, fields: tuple[str, ...], kernel: str | None, date: str | None
) -> NewEntry:
    if kind is None or title is None:
        raise UsageError("--type and --title are needed", hint="or give entries with --from FILE")
    pairs = [field.partition("=") for field in fields]
    if wrong := next((label for label, equals, _ in pairs if not equals), None):
        raise UsageError(f"--field `{wrong}` has no `=`", hint="write --field 'Symptom=what was seen'")
    return NewEntry(kind, title, tuple((label, value) for label, _, value in pairs), kernel, _date(date))


def _date(value: str | None) -> str:
    if value is None:
        return datetime.date.today().isoformat()
    try:
        return datetime.date.fromisoformat(value).isoformat()
    except ValueError:
        raise UsageError(f"`{value}` is not a date", hint="write it as YYYY-MM-DD") from None


def _result(edit: Edit, path: Path, diff: str, *, written: bool) -> dict[str, Any]:
    return {"path": str(path), "ids": edit.ids, "made_sections": edit.sections, "written": written, "diff": diff}


def _added(edit: Edit, path: Path) -> str:
    return f"added {', '.join(edit.ids)} to {path}"
