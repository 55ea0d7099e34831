"""The few git operations a climb needs, through plumbing that no worktree, index or hook can disturb.

An agent may commit, stash, reset or edit `.git` inside its own worktree. So trees are built in a private index,
commits are made from trees, and a branch moves only by compare-and-swap from the value we last saw. Nothing here
waits for a terminal, and no hook, editor or file-system monitor of a configuration is run.
"""

import functools
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cairn.errors import DiskFull, Missing, TryAgain
from cairn.git_settings import reading, settings_text
from cairn.worker.scratch import scratch

# found once: a folder on PATH that an agent may write to could hold another one later
_GIT = shutil.which("git") or "git"
_NO_IDENTITY = {
    "GIT_AUTHOR_NAME": "cairn",
    "GIT_AUTHOR_EMAIL": "cairn@localhost",
    "GIT_COMMITTER_NAME": "cairn",
    "GIT_COMMITTER_EMAIL": "cairn@localhost",
}
_HARMLESS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded|Read-only file system", re.I)
_PAUSES_S = (0.2, 1.0, 3.0)
_NO_SUCH_COMMIT = ""  # zeros would have to be as many as the repository's kind of hash has
_TRANSIENT = re.compile(r"\.lock': File exists|Another git process", re.I)


class Git:
    """A repository, addressed by its git directory and the top of its main working tree."""

    def __init__(self, folder: Path) -> None:
        """Find the repository that holds `folder`.

        Raises:
            Missing: git is not installed, or the folder is in no repository.
        """
        try:
            out = subprocess.run(
                [_GIT, "rev-parse", "--path-format=absolute", "--git-common-dir", "--show-toplevel"],
                cwd=folder,
                capture_output=True,
                env=_environment(),
                check=False,
            )
        except FileNotFoundError as error:
            raise Missing("git is not installed", hint="install git") from error
        if out.returncode:
            raise _no_repository(folder, out.stderr.decode("utf-8", "replace"))
        found = os.fsdecode(out.stdout).splitlines()
        if len(found) != 2:
            raise Missing(f"{folder} has a line break in its path, and git names paths in lines", hint="rename it")
        self.git_dir, self.top = (Path(each) for each in found)
        self._settings: dict[str, str] = {}
        self._tree_of = functools.lru_cache(maxsize=64)(
            self._make_tree
        )  # what an edit is compared and committed as

    def settings(self) -> str:
        """The user's and the system's settings as they are now, as one configuration file."""
        return settings_text(_environment())

    def use_settings(self, path: Path) -> None:
        """From here on read these settings in place of the user's and the system's."""
        self._settings = reading(path)

    def run(
        self,
        *arguments: str,
        work_tree: Path | None = None,
        extra: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout_s: float | None = None,
    ) -> str:
        """Run git on this repository and give its output back.

        Raises:
            TryAgain: another git process holds a lock, or `timeout_s` went by.
            DiskFull: there is no room to write.
            Missing: git refuses; the message is git's own.
        """
        command = [_GIT, f"--git-dir={self.git_dir}"]
        if work_tree is not None:
            command.append(f"--work-tree={work_tree}")
        command += [*_HARMLESS, *arguments]
        for pause_s in (*_PAUSES_S, None):
            done = _execute(command, work_tree or self.git_dir, self._environment(extra), stdin, timeout_s)
            if not done.returncode:
                break
            refusal = self._refusal(arguments[0], done.stderr)
            if pause_s is None or type(refusal) is not TryAgain:
                raise refusal
            time.sleep(pause_s)  # somebody else's git holds a lock, which is a matter of moments
        return done.stdout.decode("utf-8", "surrogateescape")

    def run_in_tree(self, *arguments: str) -> str:
        """Run git where the user stands, with their own index and HEAD; for what is about their own changes.

        Raises:
            As `run`.
        """
        done = _execute([_GIT, *_HARMLESS, *arguments], self.top, self._environment(), None, None)
        if done.returncode:
            raise self._refusal(arguments[0], done.stderr or done.stdout)
        return done.stdout.decode("utf-8", "surrogateescape")

    def _environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**_environment(), **self._settings, **(extra or {})}

    def _refusal(self, what: str, stderr: bytes) -> Missing | TryAgain:
        message = stderr.decode("utf-8", "replace").strip()
        if _NO_SPACE.search(message):
            return DiskFull(f"git {what}: {message}")
        if _TRANSIENT.search(message):
            return TryAgain(f"git is busy: {message}", hint="wait for the other git command, then repeat")
        return Missing(f"git {what} failed: {message}", hint=f"repository: {self.top}")

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
        try:
            return self.run_in_tree("rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()
        except Missing as error:
            raise Missing("the repository has no commit yet", hint="git add -A && git commit") from error

    def relative(self, path: Path) -> str:
        """A path of the main working tree as git writes it."""
        return path.resolve().relative_to(self.top.resolve()).as_posix()

    def read(self, commit: str, path: str) -> bytes:
        """A file as it is in a commit or tree."""
        return self.run("cat-file", "blob", f"{commit}:{path}").encode("utf-8", "surrogateescape")

    def read_blob(self, blob: str) -> bytes:
        """A blob's content."""
        return self.run("cat-file", "blob", blob).encode("utf-8", "surrogateescape")

    def store(self, content: bytes) -> str:
        """Put a file's content into the repository, byte for byte, without filters; give its blob."""
        return self.run("hash-object", "-w", "--stdin", stdin=content).strip()

    def tracked(self, commit: str) -> dict[str, tuple[str, str]]:
        """Every file of a commit: path -> (mode, blob); submodules are left out."""
        files = {}
        for line in self.run("ls-tree", "-r", "-z", "--full-tree", commit).split("\0")[:-1]:
            head, _, path = line.partition("\t")
            mode, kind, blob = head.split(" ")
            if kind == "blob":
                files[path] = (mode, blob)
        return files

    def tree_with(self, commit: str, path: str, blob: str) -> str:
        """The tree of a commit with one file exchanged."""
        return self._tree_of(commit, path, blob)

    def _make_tree(self, commit: str, path: str, blob: str) -> str:
        with scratch("index") as folder:
            index = {"GIT_INDEX_FILE": str(folder / "index")}
            self.run("read-tree", commit, extra=index)
            self.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", extra=index)
            return self.run("write-tree", extra=index).strip()

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
        return self.commit_tree(self.tree_with(parent, path, blob), [parent], message)

    def commit_tree(self, tree: str, parents: Sequence[str], message: str) -> str:
        """A commit of a tree; no branch moves."""
        identity = {} if self._has_identity else _NO_IDENTITY
        flags = [part for parent in parents for part in ("-p", parent)]
        return self.run("commit-tree", tree, *flags, "-m", message, extra=identity).strip()

    def set_ref(self, ref: str, commit: str) -> None:
        """Make a name outside the branches point at a commit, so that it is not collected."""
        self.run("update-ref", ref, commit)

    def delete_ref(self, ref: str) -> None:
        """Forget a name; nothing happens when there is none."""
        self.run("update-ref", "-d", ref)

    @functools.cached_property
    def _has_identity(self) -> bool:
        try:
            self.run("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        except Missing:
            return False
        return True

    def create_branch(self, branch: str, commit: str) -> None:
        """Create a branch that must not exist yet."""
        self.run("update-ref", "-m", "cairn: start", f"refs/heads/{branch}", commit, _NO_SUCH_COMMIT)

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

    def dirty(self, paths: Sequence[str] = ()) -> list[str]:
        """Those of the paths that the user's tree holds otherwise than HEAD does, untracked files included."""
        out = self.run_in_tree(
            "status", "--porcelain", "-z", "--no-renames", "--", *(f":/{path}" for path in paths)
        )
        return [entry[3:] for entry in out.split("\0") if entry]

    def private_copy(self, folder: Path, commit: str) -> None:
        """Check a commit out into a new repository of its own, which borrows this one's objects and nothing else.

        Refs, stash, index, configuration and hooks are its own, so whatever is done in it stays in it.
        """
        folder.mkdir(parents=True)
        kind = self.run("rev-parse", "--show-object-format").strip()
        base = [_GIT, *_HARMLESS, "-c", "init.defaultBranch=attempt", "-c", "advice.detachedHead=false"]
        environment = self._environment()
        made = _execute([*base, "init", "--quiet", "--template=", f"--object-format={kind}"], folder, environment)
        if made.returncode:
            raise self._refusal("init", made.stderr)
        private = folder / ".git"
        objects = self.run("rev-parse", "--path-format=absolute", "--git-path", "objects").strip()
        (private / "objects" / "info").mkdir(parents=True, exist_ok=True)
        (private / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
        if (self.git_dir / "shallow").exists():
            (private / "shallow").write_bytes((self.git_dir / "shallow").read_bytes())
        with (private / "config").open("a", encoding="utf-8") as config:
            config.write("[user]\n\tname = cairn\n\temail = cairn@localhost\n[gc]\n\tauto = 0\n")
        done = _execute([*base, "checkout", "--quiet", "--detach", commit], folder, environment)
        if done.returncode:
            raise self._refusal("checkout", done.stderr)


def _no_repository(folder: Path, said: str) -> Missing:
    """Why git does not answer in a folder: there is no repository, or it refuses to read it."""
    first, *rest = [line.strip() for line in said.splitlines() if line.strip()] or ["no word"]
    if "not a git repository" in first:
        return Missing(f"{folder} is not in a git repository", hint="git init && git add -A && git commit")
    proposed = next((line for line in rest if line.startswith("git ")), "mend what git names, then repeat")
    return Missing(f"git does not work in {folder}: {first}", hint=proposed)


def _execute(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    stdin: bytes | None = None,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            input=stdin or b"",
            capture_output=True,
            env=environment,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TryAgain(f"git did not answer for {timeout_s:.0f} s: {' '.join(command[-3:])}") from error


def _environment() -> dict[str, str]:
    """The caller's environment without the variables that would point git at another repository."""
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.endswith("_CONFIG")
    }
    for name in (*_NO_IDENTITY, "GIT_SSH_COMMAND"):
        if name in os.environ:
            clean[name] = os.environ[name]
    fixed = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_EDITOR": "false"}
    return {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes", **clean, **fixed}
