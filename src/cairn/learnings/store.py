"""The file on disk: one writer at a time, one write for one change, and the archive beside it.

Two writers that number from the same text would give one number to two lessons, so the text is read, changed and
replaced under one lock. The archive is written before the entries leave the file: a kill in between leaves them
in both places, and the next run takes them out.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cairn.errors import BadInput, TryAgain
from cairn.journal import write_atomic
from cairn.learnings.edit import Edit, NewEntry, add
from cairn.learnings.identity import EntryId
from cairn.learnings.model import Document
from cairn.learnings.parse import parse, read_text

_LOCK_WAIT_S = 60.0


def archive_path(path: Path) -> Path:
    """Where retired entries go: `AGENT.archive.md` beside `AGENT.md`."""
    return path.with_name(f"{path.stem}.archive{path.suffix}")


def read_document(path: Path) -> Document:
    """The parsed file; an empty one when it is not there.

    Raises:
        BadInput: it is a folder, or not UTF-8.
    """
    if path.is_dir():
        raise BadInput("a folder, not a file", path=path, hint="name a file in paths.learnings of registry.json")
    return parse(read_text(path) if path.exists() else "")


def read_archive(path: Path) -> Document:
    """The archive that belongs to a learnings file; empty when there is none."""
    return read_document(archive_path(path))


def archived_ids(path: Path) -> tuple[EntryId, ...]:
    """Ids in the archive, which are used up."""
    return tuple(name for entry in read_archive(path).entries for name in entry.ids)


def add_to_file(path: Path, entries: Sequence[NewEntry], elsewhere: Sequence[EntryId] = ()) -> Edit:
    """Add entries to a file in one write.

    Raises:
        TryAgain: another writer holds the file.
    """
    return change_file(path, lambda text: add(text, entries, [*elsewhere, *archived_ids(path)]))


def edit_of(path: Path, entries: Sequence[NewEntry], elsewhere: Sequence[EntryId] = ()) -> Edit:
    """What `add_to_file` would write; writes nothing."""
    return preview(path, lambda text: add(text, entries, [*elsewhere, *archived_ids(path)]))


def change_file(path: Path, change: Callable[[str], Edit]) -> Edit:
    """Replace a file's text by what `change` makes of it, under the lock that all writers of cairn honour.

    Raises:
        TryAgain: another writer holds the file.
    """
    path = path.resolve()  # a linked AGENT.md stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    with writer(path):
        edit = preview(path, change)
        if edit.archived:
            write_atomic(archive_path(path), edit.archived)
        if edit.after != edit.before:
            write_atomic(path, edit.after)
    return edit


def preview(path: Path, change: Callable[[str], Edit]) -> Edit:
    """What `change_file` would write; faults name the file."""
    try:
        return change(read_text(path) if path.exists() else "")
    except BadInput as error:
        if error.path is not None:
            raise
        raise BadInput(error.message, path=path, line=error.line, hint=error.hint) from error


@contextlib.contextmanager
def writer(path: Path) -> Iterator[None]:
    """Hold the folder's lock, which needs no file of its own.

    Raises:
        TryAgain: it stays held.
    """
    descriptor = os.open(path.parent, os.O_RDONLY)
    deadline = time.monotonic() + _LOCK_WAIT_S
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TryAgain(f"{path}: another command is writing it") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
