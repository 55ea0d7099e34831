"""The `cairn learnings` commands that write. Each is one write, under a lock, and touches its own lines only."""

from pathlib import Path
from typing import IO, Any

import click

from cairn.cli.learning_file import (
    date_option,
    learnings_path,
    line_option,
    pairs_of,
    project_options,
    used_elsewhere,
    write,
)
from cairn.cli.output import dry_run_option, emit
from cairn.errors import UsageError
from cairn.journal import write_atomic
from cairn.learnings import revise
from cairn.learnings.archive import DEFAULT_MAX_BYTES, ArchiveText
from cairn.learnings.archive import archive as archived
from cairn.learnings.edit import NewEntry
from cairn.learnings.edit import add as added
from cairn.learnings.evidence import CONFIDENCES, evidence_fields
from cairn.learnings.history import ids_in_history
from cairn.learnings.identity import KINDS
from cairn.learnings.incoming import day, read_entries
from cairn.learnings.merge import merge as merged
from cairn.learnings.merge_driver import install_driver
from cairn.learnings.parse import read_text
from cairn.learnings.revise import Extension, Retraction
from cairn.learnings.store import archive_path, read_archive


@click.command()
@click.option("--type", "kind", type=click.Choice(KINDS), help="What the entry is.")
@click.option("--title", help="A short description.")
@click.option("--field", "fields", multiple=True, metavar="LABEL=TEXT", help="One field; repeat the option.")
@click.option("--kernel", metavar="NAME", help="The kernel it was seen with, for First seen.")
@click.option("--scope", multiple=True, metavar="KEY=TEXT", help="kernel, shape, dtype, chip, jax or libtpu.")
@click.option("--evidence", multiple=True, metavar="TEXT", help="As 'receipt HASH' or 'result HASH'; repeat it.")
@click.option("--confidence", type=click.Choice(CONFIDENCES), help="How sure it is.")
@date_option
@click.option(
    "--from",
    "source",
    type=click.File("rb"),
    metavar="FILE",
    help='Read entries from JSON instead, - for stdin: [{"type", "title", "kernel", "date", "fields": {...}}].',
)
@dry_run_option
@project_options
def add(dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool, **given: Any) -> None:
    """Add entries at the end of their sections, in one write.

    A failure needs Symptom, Root cause and Fix; a success needs Optimization, Impact, Why it works and
    Applicable when. Other fields are kept as given. Quote with single quotes: a shell runs `backticks`.

    \b
    Example:
      cairn learnings add --type failure --title 'Block of 64 lanes is refused' --kernel gdn \\
        --field 'Symptom=...' --field 'Root cause=...' --field 'Fix=...' --dry-run
    """
    path = learnings_path(root, registry_path)
    entries = _entries(given.pop("source"), given)
    elsewhere = used_elsewhere(path)
    write(
        path,
        lambda text: added(text, entries, elsewhere),
        dry_run=dry_run,
        as_json=as_json,
        done="added {ids} to {path}",
    )


def _entries(source: IO[bytes] | None, given: dict[str, Any]) -> list[NewEntry]:
    if source is not None:
        if any(given.values()):
            raise UsageError("--from stands alone", hint="put type, title, fields, kernel and date into the file")
        return read_entries(source)
    if given["kind"] is None or given["title"] is None:
        raise UsageError("--type and --title are needed", hint="or give entries with --from FILE")
    scope = dict(pairs_of(given["scope"], "--scope"))
    claims = evidence_fields(scope, given["evidence"], given["confidence"], [])
    fields = (*pairs_of(given["fields"], "--field"), *claims)
    return [NewEntry(given["kind"], given["title"], fields, given["kernel"], day(given["date"]))]


@click.command()
@click.argument("name", metavar="ID")
@click.option("--text", required=True, help="What is new.")
@click.option("--context", default="", help="Where it was seen: kernel, round, variants.")
@click.option("--field", "fields", multiple=True, metavar="LABEL=TEXT", help="A further field; repeat the option.")
@date_option
@line_option
@dry_run_option
@project_options
def extend(
    name: str, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool, **given: Any
) -> None:
    """Add new context to the end of an entry; its other lines and all other entries stay.

    \b
    Example:
      cairn learnings extend F012 --context 'gdn round 4, variants a and b' \\
        --text 'also with bfloat16 blocks' --field 'Applicable when=K is 64 or less, too'
    """
    fields = tuple(pairs_of(given["fields"], "--field"))
    extension = Extension(name, day(given["date"]), given["context"], given["text"], fields)
    write(
        learnings_path(root, registry_path),
        lambda text: revise.extend(text, extension, given["line"]),
        dry_run=dry_run,
        as_json=as_json,
        done="extended {ids} in {path}",
    )


_reason = click.option("--reason", required=True, help="What was found out.")
_untrusted = click.option(
    "--untrusted", multiple=True, metavar="HASH", help="A receipt or result that nobody may cite any more."
)


@click.command()
@click.argument("old", metavar="ID")
@click.option("--by", required=True, metavar="ID", help="The entry that replaces it.")
@_reason
@_untrusted
@date_option
@line_option
@dry_run_option
@project_options
def supersede(
    old: str, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool, **given: Any
) -> None:
    """Mark an entry as replaced by another one; both say so, and search serves only the new one.

    \b
    Example:
      cairn learnings supersede F012 --by F019 --reason 'the limit is 256 lanes, not 128'
    """
    because = Retraction(day(given["date"]), given["reason"], given["untrusted"])
    write(
        learnings_path(root, registry_path),
        lambda text: revise.supersede(text, old, given["by"], because, given["line"]),
        dry_run=dry_run,
        as_json=as_json,
        done="marked {ids} in {path}",
    )


@click.command()
@click.argument("name", metavar="ID")
@_reason
@_untrusted
@date_option
@line_option
@dry_run_option
@project_options
def retract(
    name: str, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool, **given: Any
) -> None:
    """Mark an entry as wrong. Its text and number stay, so that it is not learned again.

    \b
    Example:
      cairn learnings retract S004 --reason 'five runs had the same timings' --untrusted 9c1b22aa4f01
    """
    because = Retraction(day(given["date"]), given["reason"], given["untrusted"])
    write(
        learnings_path(root, registry_path),
        lambda text: revise.retract(text, name, because, given["line"]),
        dry_run=dry_run,
        as_json=as_json,
        done="retracted {ids} in {path}",
    )


@click.command()
@click.argument("name", metavar="ID")
@click.option("--to", metavar="ID", help="The new id. Default: the next free one.")
@line_option
@dry_run_option
@project_options
def renumber(
    name: str, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool, **given: Any
) -> None:
    """Give an entry another number; what mentions it follows, unless another entry has the old id too.

    \b
    Example:
      cairn learnings renumber F012 --line 88
    """
    path = learnings_path(root, registry_path)
    elsewhere = used_elsewhere(path)
    write(
        path,
        lambda text: revise.renumber(text, name, elsewhere, line=given["line"], to=given["to"]),
        dry_run=dry_run,
        as_json=as_json,
        done="renumbered {ids} in {path}",
    )


@click.command()
@click.option("--max-bytes", default=DEFAULT_MAX_BYTES, show_default=True, help="The size to stay below.")
@dry_run_option
@project_options
def archive(max_bytes: int, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool) -> None:
    """Move retired entries to the archive beside the file; each leaves a line with a link.

    While the file is still too large, active entries follow: weakest evidence first, then the oldest. Nothing
    is lost: `show` and `search` read both files, and the numbers stay taken.

    \b
    Example:
      cairn learnings archive --dry-run
    """
    path = learnings_path(root, registry_path)
    old = archive_path(path)
    name = old.name
    write(
        path,
        lambda text: archived(text, ArchiveText(name, read_archive(path).markdown.text), max_bytes),
        dry_run=dry_run,
        as_json=as_json,
        done="moved {ids}" if old.exists() else "moved {ids} to a new archive",
    )


@click.command()
@click.argument("base", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.argument("ours", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.argument("theirs", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--path", "name", metavar="FILE", help="The file's name in the repository (git's %P).")
@click.option("--install", is_flag=True, help="Make git call this for AGENT.md in the project's repository.")
@dry_run_option
@project_options
def merge(
    install: bool, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool, **files: Any
) -> int:
    """Merge three versions entry by entry and write the result into OURS: a git merge driver.

    New entries of both sides survive; of two with the same number one gets the next free one, and references
    follow. Exit 1 and conflict markers only where both sides rewrote the same lines.

    \b
    Example:
      cairn learnings merge --install
      cairn learnings merge BASE OURS THEIRS --path AGENT.md
    """
    if install:
        done = install_driver(learnings_path(root, registry_path), dry_run=dry_run)
        emit({"installed": not dry_run, "changes": done}, as_json, "\n".join(done) or "installed already")
        return 0
    base, ours, theirs = files["base"], files["ours"], files["theirs"]
    if theirs is None:
        raise UsageError("BASE OURS THEIRS are needed", hint="or --install")
    where = (root or Path.cwd()) / (files["name"] or "AGENT.md")
    texts = [read_text(path) if path.exists() else "" for path in (base, ours, theirs)]
    result = merged(texts[0], texts[1], texts[2], ids_in_history(where))
    if not dry_run:
        write_atomic(ours, result.text)
    renumbered = [{"from": old, "to": new} for old, new in result.renumbered]
    lines = [f"{old} of the other side is {new} now" for old, new in result.renumbered]
    lines += [f"{name}: both sides changed the same lines" for name in result.conflicts]
    data = {"renumbered": renumbered, "conflicts": list(result.conflicts), "written": not dry_run}
    emit(data, as_json, "\n".join(lines) or "merged")
    return 1 if result.conflicts else 0
