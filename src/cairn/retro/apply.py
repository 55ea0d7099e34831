"""Apply an approved plan: inside the allowed folders only, all files or none, and twice the same as once.

A rename is atomic, several are not. So all new texts are staged first, then a journal says that they
are to be put in place, and only then are they. Whoever comes after a crash finishes what the journal says, or
finds none and throws the leftovers away. A boundary against mistakes and odd plans, not against somebody who changes
links while a plan is applied.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from cairn.errors import BadInput, TryAgain
from cairn.journal import write_atomic
from cairn.registry import Registry
from cairn.retro.plan import SKILL, Plan, files_of, targets
from cairn.retro.skillfile import skill_folders

_TEXTS = (".md", ".mdx", ".markdown", ".txt", ".rst", "")
_JOURNAL, _LOCK = "apply.journal", "apply.lock"


@dataclass(frozen=True)
class Applied:
    """What was written, relative to the root; `unchanged` when everything stood already."""

    written: tuple[str, ...]
    unchanged: bool


def apply_plan(
    registry: Registry,
    plan: Plan,
    only: Sequence[int] | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> Applied:
    """Write the files of a plan. `step` is told before each step that can be cut short.

    Raises:
        BadInput: a target is not allowed, or a file cannot be edited.
        TryAgain: a skill changed since it was proposed, or somebody else is applying.
    """
    folder = _own_folder(registry.root)
    try:
        with filelock.FileLock(folder / _LOCK, timeout=10):
            recover(registry)
            _refuse_stale(registry, plan, only)
            files = list(files_of(registry, plan, only))
            for path, _, _ in files:
                refuse_outside(registry, path)
            _write_all(registry.root, [(path, after) for path, _, after in files], step)
    except filelock.Timeout as error:
        raise TryAgain("another apply is running", hint="try again when it is done") from error
    written = tuple(os.path.relpath(path, registry.root) for path, _, _ in files)
    return Applied(written, not written)


def refuse_outside(registry: Registry, path: Path) -> None:
    """Refuse every target but the skill folders, the guide, the log and the registry of this project.

    Raises:
        BadInput: it lies elsewhere, goes through a link that leaves the project, or differs only in case from
            something that is there.
    """
    root = registry.root.resolve()
    hint = "only skill folders, the guide, the log and the registry of this project can be written"
    parent = path.parent
    while not parent.exists():
        parent = parent.parent
    real = parent.resolve()
    if ".." in path.parts or not real.is_relative_to(root) or not path.parent.is_relative_to(registry.root):
        raise BadInput("leads out of the project", path=path, hint=hint)
    if path.is_symlink() or (path.name == "SKILL.md" and path.parent.is_symlink()):
        raise BadInput("is a link", path=path, hint="put a real file there first")
    parts = (*real.relative_to(root).parts, *path.relative_to(registry.root).parts)
    if any(part.casefold() in (".git", ".cairn") for part in parts):
        raise BadInput("lies in a folder that no plan may write", path=path, hint=hint)
    allowed = set(skill_folders(registry.root))
    if path.name == "SKILL.md" and path.parent.parent not in allowed:
        raise BadInput("is no skill folder of this project", path=path, hint=hint)
    if path.name != "SKILL.md" and path != registry.path and path.suffix.lower() not in _TEXTS:
        raise BadInput("is no text for people", path=path, hint="the log and the guide are Markdown or plain text")
    for place in (path, *path.parents):
        if place == registry.root:
            break
        _refuse_other_case(place)


def _refuse_other_case(path: Path) -> None:
    try:
        names = [each.name for each in path.parent.iterdir()]
    except OSError:
        return
    other = next((name for name in names if name != path.name and name.casefold() == path.name.casefold()), None)
    if other:
        raise BadInput(f"`{other}` is there and differs only in case", path=path, hint="rename one of them")


def _refuse_stale(registry: Registry, plan: Plan, only: Sequence[int] | None) -> None:
    for number, change in enumerate(plan.changes, 1):
        if change.kind != SKILL or (only is not None and number not in only):
            continue
        known = (change.before, hashlib.sha256(change.text.encode()).hexdigest())
        found = {path: now for path in targets(registry, change) if (now := _hash(path))}
        changed = [path for path, now in found.items() if now not in known]
        if changed or (change.before and not found):  # one of two folders may not have the skill yet
            raise TryAgain(
                f"{changed[0] if changed else change.name} changed since {plan.id} was proposed",
                hint="propose it again and show the new difference",
            )


def _hash(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _write_all(root: Path, files: Sequence[tuple[Path, str]], step: Callable[[str], None]) -> None:
    """Stage every text, announce all of them, then put them in place."""
    if not files:
        return
    folder = _staging(root)
    shutil.rmtree(folder, ignore_errors=True)  # of an apply that was cut short before its journal
    folder.mkdir(parents=True)
    rows = []
    for number, (path, text) in enumerate(files):
        step(f"stage {path.name}")
        staged = folder / str(number)
        with staged.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        rows.append([str(number), os.path.relpath(path, root)])
    step("journal")
    write_atomic(root / ".cairn" / "retro" / _JOURNAL, json.dumps(rows))
    for name, path_name in rows:
        step(f"replace {path_name}")
        _put_in_place(root, folder / name, root / path_name)
    step("done")
    (root / ".cairn" / "retro" / _JOURNAL).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _staging(root: Path) -> Path:
    return root / ".cairn" / "retro" / "staged"


def _own_folder(root: Path) -> Path:
    """Where plans, journal and staged files are.

    Raises:
        BadInput: it is a link, so that staged files would land elsewhere.
    """
    folder = root / ".cairn" / "retro"
    if any(each.is_symlink() for each in (folder, folder.parent, folder / "staged", folder / _JOURNAL)):
        raise BadInput("is a link", path=folder, hint="put a real folder there; cairn keeps its own files in it")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _put_in_place(root: Path, staged: Path, path: Path) -> None:
    real, top = path.parent.resolve(), root.resolve()
    if not real.is_relative_to(top):
        raise BadInput("leads out of the project", path=path)
    try:
        with _opened(top, real.relative_to(top).parts) as folder:
            _move(staged, path.name, folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise BadInput("a folder became a link while it was written", path=path) from error
        raise


@contextlib.contextmanager
def _opened(top: Path, parts: Sequence[str]) -> Iterator[int]:
    """A descriptor of a folder below `top`, made where it is missing; no link is followed on the way."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
            inner = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
        os.fsync(folder)
    finally:
        os.close(folder)


def _move(staged: Path, name: str, folder: int) -> None:
    """Put a file in place of the one of this name, with its mode; a link of this name is replaced, not followed."""
    with contextlib.suppress(FileNotFoundError):
        staged.chmod(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode & 0o7777)
    try:
        os.replace(staged, name, dst_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV:  # a skill folder on another file system
            raise
        beside = f".{name}.cairn-new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)
        copy = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
        with staged.open("rb") as source, os.fdopen(copy, "wb") as target:
            shutil.copyfileobj(source, target)
        os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)


def finish(registry: Registry) -> list[str]:
    """What `recover` does, unless somebody is applying now; for commands that only look."""
    if not (registry.root / ".cairn" / "retro" / _JOURNAL).exists():
        return []
    try:
        with filelock.FileLock(_own_folder(registry.root) / _LOCK, timeout=0):
            return recover(registry)
    except filelock.Timeout:
        return []


def recover(registry: Registry) -> list[str]:
    """Finish what a crash cut short after its journal was written; gives the files that were put in place.

    Raises:
        BadInput: the journal is damaged, or names what no plan may write.
    """
    root = registry.root
    journal = _own_folder(root) / _JOURNAL
    hint = "compare `staged` beside it with your skills, then delete both"
    try:
        rows = [
            (str(int(name)), root / str(path)) for name, path in json.loads(journal.read_text(encoding="utf-8"))
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"cannot be read: {error}", path=journal, hint=hint) from error
    for _, path in rows:
        refuse_outside(registry, path)
    finished = []
    for name, path in rows:
        staged = _staging(root) / name
        if staged.is_file() and not staged.is_symlink():
            _put_in_place(root, staged, path)
            finished.append(os.path.relpath(path, root))
    journal.unlink()
    shutil.rmtree(_staging(root), ignore_errors=True)
    return finished
