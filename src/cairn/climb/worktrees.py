"""The working folders of a climb: one pristine checkout for the judge, one worktree for each attempt.

The user's own tree is never touched. All worktrees lie in one folder of the run and are gone when the climb stops.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from cairn.git import Git
from cairn.process import MARKER


@dataclass(frozen=True)
class Edit:
    """What an attempt's worktree holds compared with its parent.

    `blob`: the variant's new content, None when it did not change or is no ordinary file. `tampered`: tracked
    files besides the variant that were changed or removed. `extra`: new files, which are left behind.
    """

    blob: str | None
    patch: str
    tampered: list[str]
    extra: list[str]


class Worktrees:
    """Creates, reads and removes the worktrees of one climb."""

    def __init__(self, git: Git, folder: Path) -> None:
        self._git = git
        self.folder = folder

    def open(self, name: str, commit: str) -> Path:
        """A fresh checkout of a commit; one left over under the same name is removed first."""
        path = self.folder / name
        self._git.remove_worktree(path)
        self._git.add_worktree(path, commit)
        return path

    def close(self, name: str) -> None:
        """Remove a worktree and whatever still runs in it."""
        end_strays(self.folder / name)
        self._git.remove_worktree(self.folder / name)

    def close_all(self) -> None:
        """Remove every worktree of the climb."""
        end_strays(self.folder)
        for path in sorted(self.folder.glob("*")):
            self._git.remove_worktree(path)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._git.remove_worktree(self.folder)

    def edit_of(self, name: str, parent: str, variant: str) -> Edit:
        """Read what was changed; commits, stashes and staging inside the worktree do not matter."""
        tree, changes = self._git.snapshot(self.folder / name, parent)
        tampered = [change.path for change in changes if change.status != "A" and change.path != variant]
        extra = [change.path for change in changes if change.status == "A"]
        found = self._git.blob_of(tree, variant)
        if found is None or found[0] not in ("100644", "100755"):
            tampered.append(variant)  # deleted, or replaced by a link
            return Edit(None, "", tampered, extra)
        changed = any(change.path == variant for change in changes)
        patch = self._git.patch(parent, tree, [variant]) if changed else ""
        return Edit(found[1] if changed else None, patch, tampered, extra)


def end_strays(folder: Path) -> int:
    """End processes that cairn started and that still work inside a folder: what a killed launch left behind."""
    inside = str(folder.resolve()) + os.sep
    strays = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                process.pid != os.getpid()
                and MARKER in process.environ()
                and (process.cwd() + os.sep).startswith(inside)
            ):
                strays.append(process)
    for process in strays:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(strays, timeout=2)
    return len(strays)
