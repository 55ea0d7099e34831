"""One commit that holds the learnings file and nothing else, whatever else the tree holds.

It is the user's own `git commit`, with their identity, hooks and signature, limited to the named files: staged and
unsaved work on other files stays as it is.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 120.0
_NO_IDENTITY = ("-c", "user.name=cairn", "-c", "user.email=cairn@localhost")


@dataclass(frozen=True)
class Commit:
    """What became of it: the commit's id, or why there is none; `pending` when a repeat may succeed."""

    id: str | None
    reason: str
    pending: bool = False


def message_for(kernel: str, number: int) -> str:
    """The subject line that the loop looks for."""
    return f"docs(agent): record learnings from {kernel} round {number}"


def is_dirty(path: Path) -> bool:
    """Whether a file differs from the last commit; false where there is no repository."""
    done = _git(path.parent, "status", "--porcelain", "--", path.name)
    return done.returncode == 0 and bool(done.stdout.strip())


def commit_files(paths: Sequence[Path], message: str) -> Commit:
    """Commit some files of one folder; nothing happens when they are as in the last commit."""
    folder = paths[0].parent
    names = [path.name for path in paths if path.exists()]
    if _git(folder, "rev-parse", "--is-inside-work-tree").returncode:
        return Commit(None, "not in a git repository")
    if not names:
        return Commit(None, "there is no file to commit")
    status = _git(folder, "status", "--porcelain", "--ignored", "--", *names)
    if status.returncode:
        return Commit(None, _last_line(status), pending=True)
    if any(line.startswith("!!") for line in status.stdout.splitlines()):
        return Commit(None, "ignored by git")
    if not status.stdout.strip():
        return Commit(_last_with(folder, message, names), "as in the last commit")
    new = [name for name in names if _git(folder, "ls-files", "--error-unmatch", "--", name).returncode]
    if new and (done := _git(folder, "add", "--intent-to-add", "--", *new)).returncode:
        return Commit(None, _last_line(done), pending=True)
    known = _git(folder, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT").returncode == 0
    identity = () if known else _NO_IDENTITY
    done = _git(folder, *identity, "commit", "--quiet", "--only", "-m", message, "--", *names)
    if done.returncode:
        return Commit(None, _last_line(done), pending=True)
    return Commit(_git(folder, "rev-parse", "HEAD").stdout.strip(), "committed")


def _last_with(folder: Path, message: str, names: Sequence[str]) -> str | None:
    """The last commit of these files if it has this subject: made before a kill, or by the user's hand."""
    done = _git(folder, "log", "-1", "--format=%H %s", "--", *names)
    commit, _, subject = done.stdout.strip().partition(" ")
    return commit if done.returncode == 0 and subject == message else None


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "git is not installed")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(
            command, 124, "", "git did not answer; does a hook or a signature wait?"
        )


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    return lines[0].strip() if lines else f"git ended with {done.returncode}"
