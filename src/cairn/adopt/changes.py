"""Changes to a user's project that can be shown first, made as a whole, and taken back to the last byte.

What every file was is written down, and on disk, before the first of them changes; so a kill in between loses nothing
and undoing works from there. A file that somebody edited since is never overwritten: it is named and left.
"""

import base64
import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.errors import BadInput, Missing
from cairn.journal import replacing

RECORD = Path(".cairn/adoption.json")
_SCHEMA = 1


@dataclass(frozen=True)
class Change:
    """One file as it shall be. `path` is relative to the project, absolute for git's own configuration."""

    path: Path
    after: bytes
    why: str


@dataclass(frozen=True)
class Undone:
    """What undoing did: files put back, files taken away, and files left because somebody changed them since."""

    restored: tuple[str, ...]
    removed: tuple[str, ...]
    left: tuple[str, ...]


def pending(root: Path, changes: Sequence[Change]) -> list[Change]:
    """Those changes that are not made yet."""
    return [change for change in changes if _content(root / change.path) != change.after]


def apply(root: Path, changes: Sequence[Change]) -> list[Change]:
    """Make the changes that are not made yet and give them back; their undoing is recorded first.

    Raises:
        Missing: a file cannot be written; the message names it and what was already done can be undone.
    """
    todo = pending(root, changes)
    if not todo:
        return []
    record = _load(root)
    for change in todo:
        path, key = root / change.path, change.path.as_posix()
        known = record["files"].get(key)
        if known is None or _digest(_content(path)) != known["after"]:
            record["files"][key] = _entry(root, path)
        record["files"][key]["after"] = _digest(change.after)
    _save(root, record)
    for change in todo:
        _write(root / change.path, change.after)
    return todo


def undo(root: Path, *, dry_run: bool = False) -> Undone:
    """Put back every file that still is what was written; remove the folders that were made for them.

    Raises:
        Missing: nothing was recorded here.
    """
    if not (root / RECORD).is_file():
        raise Missing(
            f"nothing to undo: {root / RECORD} does not exist", hint="undo in the folder of `cairn init`"
        )
    record = _load(root)
    restored, removed, left = list[str](), list[str](), list[str]()
    for key, entry in reversed(record["files"].items()):
        path = root / key
        now = _digest(_content(path))
        before = None if entry["before"] is None else base64.b64decode(entry["before"])
        if now == _digest(before):
            continue
        if now != entry["after"]:
            left.append(key)
            continue
        (removed if before is None else restored).append(key)
        if not dry_run:
            _put_back(root, path, before, entry)
    if not dry_run:
        _forget(root, record, left)
    return Undone(tuple(restored), tuple(removed), tuple(left))


def _put_back(root: Path, path: Path, before: bytes | None, entry: dict[str, Any]) -> None:
    if before is None:
        path.unlink()
        for folder in entry["folders"]:
            with contextlib.suppress(OSError):  # somebody put something else in there: it stays
                (root / folder).rmdir()
    else:
        _write(path, before)
        path.chmod(entry["mode"])


def _forget(root: Path, record: dict[str, Any], left: Sequence[str]) -> None:
    """Remove the record, or keep of it what could not be undone."""
    record["files"] = {key: record["files"][key] for key in left}
    if left:
        _save(root, record)
        return
    (root / RECORD).unlink()
    for name in record["made"]:
        path = root / name
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def _entry(root: Path, path: Path) -> dict[str, Any]:
    content = _content(path)
    folders = [folder for folder in path.parents if not folder.exists()]
    return {
        "before": None if content is None else base64.b64encode(content).decode(),
        "mode": None if content is None else path.stat().st_mode & 0o7777,
        "folders": [folder.relative_to(root).as_posix() for folder in folders],
    }


def _load(root: Path) -> dict[str, Any]:
    path = root / RECORD
    if not path.is_file():
        made = [RECORD.parent / ".gitignore", RECORD.parent]
        return {"schema": _SCHEMA, "made": [str(name) for name in made if not (root / name).exists()], "files": {}}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        known = record["schema"] == _SCHEMA and isinstance(record["files"], dict)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"not a record of `cairn init`: {error}", path=path, hint="restore it from a copy"
        ) from error
    if not known:
        raise BadInput("written by another version of cairn", path=path, hint="undo with that version")
    return dict(record)


def _save(root: Path, record: dict[str, Any]) -> None:
    """The record, in a folder that git does not see."""
    _write(root / RECORD, (json.dumps(record, indent=1) + "\n").encode())
    ignore = root / RECORD.parent / ".gitignore"
    if not ignore.exists():
        _write(ignore, b"*\n")


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path.resolve()) as temporary:  # a link stays a link
            temporary.write_bytes(content)
    except OSError as error:
        hint = "allow writing there, or run this outside the sandbox; `cairn init --undo` takes back the rest"
        raise Missing(f"cannot write {path}: {error.strerror or error}", hint=hint) from error


def _content(path: Path) -> bytes | None:
    """What a file holds, None when there is none.

    Raises:
        BadInput: something stands there that is no file, or cannot be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BadInput(f"cannot be read as a file: {error.strerror}", path=path) from error


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
