"""Make git call `cairn learnings merge` for the learnings file: one line of attributes, two of configuration.

The attributes are committed with the project; the configuration is each clone's own, as git wants it.
"""

import subprocess
from pathlib import Path

from cairn.errors import Missing
from cairn.journal import write_atomic
from cairn.learnings.store import archive_path

DRIVER = "cairn-learnings"
COMMAND = "cairn learnings merge %O %A %B --path %P"
SETTINGS = ((f"merge.{DRIVER}.name", "learnings, entry by entry"), (f"merge.{DRIVER}.driver", COMMAND))


def install_driver(path: Path, *, dry_run: bool = False) -> list[str]:
    """Install the merge driver for a learnings file and its archive; say what was changed.

    Raises:
        Missing: the file is in no git repository, or git refuses to write its configuration.
    """
    top = Path(_git(path.parent, "rev-parse", "--show-toplevel").strip())
    done = []
    for name, value in SETTINGS:
        if _git(top, "config", "--local", "--default", "", "--get", name).strip() != value:
            done.append(f"git config {name} '{value}'")
            if not dry_run:
                _git(top, "config", "--local", name, value)
    attributes = top / ".gitattributes"
    text = attributes.read_text(encoding="utf-8") if attributes.exists() else ""
    missing = [line for line in attribute_lines(path, top) if line not in text.splitlines()]
    if missing:
        done += [f"{attributes.name}: {line}" for line in missing]
        if not dry_run:
            start = text if not text or text.endswith("\n") else text + "\n"
            write_atomic(attributes, start + "".join(f"{line}\n" for line in missing))
    return done


def attribute_lines(path: Path, top: Path) -> list[str]:
    """What `.gitattributes` at `top` has to say about a learnings file and its archive."""
    files = [each.resolve().relative_to(top.resolve()).as_posix() for each in (path, archive_path(path))]
    return [f'"/{name}" merge={DRIVER}' if " " in name else f"/{name} merge={DRIVER}" for name in files]


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=30
        )
    except FileNotFoundError as error:
        raise Missing("git is not installed", hint="install git") from error
    if done.returncode:
        hint = "a sandbox may forbid writing .git; run this outside it, or initialise the repository"
        raise Missing(f"git {arguments[0]} failed: {done.stderr.strip()}", hint=hint)
    return done.stdout
