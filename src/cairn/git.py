"""The few git operations a climb needs, through plumbing that no worktree, index or hook can disturb.

An agent may commit, stash, reset or edit `.git` inside its own worktree. So trees are built in a private index,
commits are made from trees, and a branch moves only by compare-and-swap from the value we last saw.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import Missing, TryAgain

_NO_IDENTITY = {
    "GIT_AUTHOR_NAME": "cairn",
    "GIT_AUTHOR_EMAIL": "cairn@localhost",
    "GIT_COMMITTER_NAME": "cairn",
    "GIT_COMMITTER_EMAIL": "cairn@localhost",
}
_TRANSIENT = re.compile(r"\.lock': File exists|Another git process|unable to create .*\.lock", re.I)


@dataclass(frozen=True)
class Change:
    """One path that differs between a commit and a snapshot: `A` added, `M` modified, `D` deleted, `T` type."""

    status: str
    path: str


class Git:
    """A repository, addressed by its git directory and the top of its main working tree."""

    def __init__(self, folder: Path) -> None:
        """Find the repository that holds `folder`.

        Raises:
            Missing: git is not installed, or the folder is in no repository.
        """
        try:
            out = subprocess.run(
                ["git", "rev-parse", "--path-format=absolute", "--git-common-dir", "--show-toplevel"],
                cwd=folder,
                capture_output=True,
                text=True,
                env=_environment(),
                check=False,
            )
        except FileNotFoundError as error:
            raise Missing("git is not installed", hint="install git") from error
        if out.returncode:
            raise Missing(f"{folder} is not in a git repository", hint="git init && git add -A && git commit")
        git_dir, top = out.stdout.splitlines()
        self.git_dir = Path(git_dir)
        self.top = Path(top)

    def run(self, *arguments: str, work_tree: Path | None = None, extra: Mapping[str, str] | None = None) -> str:
        """Run git on this repository and give its output back.

        Raises:
            TryAgain: another git process holds a lock.
            Missing: git refuses; the message is git's own.
        """
        command = ["git", f"--git-dir={self.git_dir}"]
        if work_tree is not None:
            command.append(f"--work-tree={work_tree}")
        done = subprocess.run(
            [*command, "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", *arguments],
            cwd=work_tree or self.git_dir,
            capture_output=True,
            env=_environment(extra),
            check=False,
        )
        if done.returncode:
            message = done.stderr.decode("utf-8", "replace").strip()
            if _TRANSIENT.search(message):
                raise TryAgain(f"git is busy: {message}", hint="wait for the other git command, then repeat")
            raise Missing(f"git {arguments[0]} failed: {message}", hint=f"repository: {self.top}")
        return done.stdout.decode("utf-8", "surrogateescape")

    def commit_of(self, name: str) -> str | None:
        """The commit a name stands for, or None."""
        try:
            return self.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except Missing:
            return None

    def head(self) -> str:
        """The commit that the user's tree is on.

        Raises:
            Missing: there is no commit yet.
        """
        # asked in the user's tree: the shared git directory has the HEAD of the main tree, not of a linked one
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "HEAD^{commit}"],
            cwd=self.top,
            capture_output=True,
            text=True,
            env=_environment(),
            check=False,
        )
        if done.returncode:
            raise Missing("the repository has no commit yet", hint="git add -A && git commit")
        return done.stdout.strip()

    def relative(self, path: Path) -> str:
        """A path of the main working tree as git writes it."""
        return path.resolve().relative_to(self.top.resolve()).as_posix()

    def read(self, commit: str, path: str) -> bytes:
        """A file as it is in a commit or tree."""
        return self.run("cat-file", "blob", f"{commit}:{path}").encode("utf-8", "surrogateescape")

    def read_blob(self, blob: str) -> bytes:
        """A blob's content."""
        return self.run("cat-file", "blob", blob).encode("utf-8", "surrogateescape")

    def snapshot(self, work_tree: Path, base: str) -> tuple[str, list[Change]]:
        """Store what a worktree holds now; give the tree's id and the paths that differ from `base`.

        Whatever was committed, staged or stashed in the worktree does not matter; ignored files stay out.
        """
        with tempfile.TemporaryDirectory(prefix="cairn-index-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self.run("read-tree", base, extra=index)
            self.run("add", "--all", "--", ".", work_tree=work_tree, extra=index)
            tree = self.run("write-tree", extra=index).strip()
        raw = self.run("diff-tree", "-r", "-z", "--name-status", "--no-renames", base, tree)
        fields = raw.split("\0")[:-1]
        changes = [Change(status[0], path) for status, path in zip(fields[::2], fields[1::2], strict=True)]
        return tree, changes

    def blob_of(self, tree: str, path: str) -> tuple[str, str] | None:
        """(mode, blob) of a file in a tree, or None."""
        line = self.run("ls-tree", "-z", tree, "--", path).rstrip("\0")
        if not line:
            return None
        mode, kind, blob = line.split("\t")[0].split(" ")
        return (mode, blob) if kind == "blob" else None

    def patch(self, base: str, tree: str, paths: Sequence[str]) -> str:
        """The difference between a commit and a tree, as a patch of these paths."""
        return self.run("diff-tree", "-p", "--binary", "--no-renames", base, tree, "--", *paths)

    def commit_file(self, parent: str, path: str, blob: str, message: str) -> str:
        """A commit on `parent` that differs from it in one file only; no branch moves."""
        with tempfile.TemporaryDirectory(prefix="cairn-index-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self.run("read-tree", parent, extra=index)
            self.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", extra=index)
            tree = self.run("write-tree", extra=index).strip()
        identity = {} if self._has_identity() else _NO_IDENTITY
        return self.run("commit-tree", tree, "-p", parent, "-m", message, extra=identity).strip()

    def _has_identity(self) -> bool:
        try:
            self.run("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        except Missing:
            return False
        return True

    def create_branch(self, branch: str, commit: str) -> None:
        """Create a branch that must not exist yet."""
        self.run("update-ref", "-m", "cairn: start", f"refs/heads/{branch}", commit, "0" * 40)

    def advance_branch(self, branch: str, old: str, new: str) -> None:
        """Fast-forward a branch from `old` to its descendant `new`; git refuses when it stands elsewhere.

        Raises:
            Missing: the branch has moved, or `new` does not descend from `old`.
        """
        self.run("merge-base", "--is-ancestor", old, new)
        self.run("update-ref", "-m", "cairn: advance", f"refs/heads/{branch}", new, old)

    def checked_out_at(self, branch: str) -> Path | None:
        """The worktree in which a branch is checked out, or None."""
        folder = None
        for line in self.run("worktree", "list", "--porcelain").splitlines():
            if line.startswith("worktree "):
                folder = Path(line.removeprefix("worktree "))
            if line == f"branch refs/heads/{branch}":
                return folder
        return None

    def add_worktree(self, folder: Path, commit: str) -> None:
        """Check a commit out into a new folder, on no branch."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.run("worktree", "add", "--quiet", "--detach", str(folder), commit)

    def remove_worktree(self, folder: Path) -> None:
        """Remove a worktree whatever is in it, and what git remembers of it; nothing happens if it is gone."""
        if folder.exists():
            subprocess.run(["rm", "-rf", "--", str(folder)], check=False)
        self.run("worktree", "prune")

    def dirty(self, paths: Sequence[str]) -> list[str]:
        """Those of the paths that the user's tree holds otherwise than HEAD does, untracked files included."""
        _, changes = self.snapshot(self.top, self.head())
        return [change.path for change in changes if any(change.path.startswith(path) for path in paths)]


def _environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without the variables that would point git at another repository."""
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.endswith("_CONFIG")
    }
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        if name in os.environ:
            clean[name] = os.environ[name]
    return {**clean, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", **(extra or {})}
