"""A project for a climb that goes wrong in every way, and what must be true of it afterwards."""

import shutil
from pathlib import Path

import psutil

from cairn.climb.log_lint import ALL, LintOptions, lint_log
from cairn.climb.state import State
from cairn.judge.receipt import ReceiptBook
from workspace import TOY, Workspace, git

BRANCH = "cairn/night"


def project(folder: Path) -> Workspace:
    """A repository with a dirty file and a stash that nobody may touch."""
    root = folder / "project"
    shutil.copytree(TOY, root / "kernels" / "axpy", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "registry.json").write_text('{"domain": "pallas", "targets": ["tpu-v5p"]}\n')
    (root / ".gitignore").write_text(".cairn\n")
    (root / "notes.txt").write_text("committed\n")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "start")
    (root / "notes.txt").write_text("the user's unsaved thought\n")
    git(root, "stash")
    git(root, "stash", "apply")
    return Workspace(root)


def picture(workspace: Workspace) -> dict[str, str]:
    """Everything of the user's repository that a climb may not change."""
    refs = workspace.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    own = [ref for ref in refs if not ref.startswith((f"refs/heads/{BRANCH} ", "refs/cairn/"))]
    hooks = sorted(path.name for path in (workspace.root / ".git" / "hooks").glob("*"))
    locks = sorted(path.name for path in (workspace.root / ".git").glob("*.lock"))
    return {
        "refs": "\n".join(own),
        "head": workspace.git("symbolic-ref", "HEAD"),
        "status": workspace.git("status", "--porcelain"),
        "config": (workspace.root / ".git" / "config").read_text(),
        "hooks": " ".join(hooks),
        "locks": " ".join(locks),
        "stash": workspace.git("stash", "list"),
        "notes": (workspace.root / "notes.txt").read_text(),
        "modes": " ".join(oct(path.stat().st_mode) for path in sorted((workspace.root / "kernels").rglob("*.*"))),
        "worktrees": workspace.git("worktree", "list"),
    }


def faults(workspace: Workspace, before: dict[str, str], state: State, folder: Path) -> list[str]:
    """What is not as it should be after a climb called `night`."""
    after = picture(workspace)
    found = [f"{key} changed: {value!r} -> {after[key]!r}" for key, value in before.items() if after[key] != value]
    found += [f"left behind: {path}" for path in Path("/dev/shm").glob("cairn-misbehaves")]
    found += [f"still runs: {line}" for line in survivors(workspace.root)]
    if (folder / "worktrees").exists() or (folder / "tmp").exists():
        found.append("working folders are left")
    found += [f"a torn file is left: {path.name}" for path in folder.glob(".*.????????")]
    if state.champion != workspace.git("rev-parse", BRANCH).strip():
        found.append("the branch is not at the champion")
    kept = [attempt for attempt in state.decided if attempt.commit]
    if len(workspace.git("rev-list", f"main..{BRANCH}").split()) != len(kept):
        found.append("commits and kept attempts differ")
    if state.queue:
        found.append(f"open attempts: {[attempt.id for attempt in state.queue]}")
    return found + _records(workspace, state, folder)


def _records(workspace: Workspace, state: State, folder: Path) -> list[str]:
    """Whether receipts and log say what the ledger says, and each attempt was judged once."""
    book = ReceiptBook(folder / "receipts.jsonl")
    judged = [receipt["attempt"] for receipt in book.all() if receipt["purpose"] == "decision"]
    found = [f"judged twice: {name}" for name in sorted({name for name in judged if judged.count(name) > 1})]
    found += [f"receipts: {link}" for link in book.broken_links()]
    if not (folder / "log.md").is_file():
        return [*found, "there is no log"]
    lint = lint_log(
        folder / "log.md", state, LintOptions(ALL), lambda sha: bool(workspace.git("cat-file", "-t", sha))
    )
    return found + [f"log: {each}" for each in lint]


def survivors(root: Path) -> list[str]:
    """Command lines of processes that work inside a folder, name it, or were told of it."""
    found = []
    for process in psutil.process_iter():
        try:
            words, told = process.cmdline(), process.environ().get("CAIRN_LOG_DIR", "")
            if f"{process.cwd()}/".startswith(f"{root}/") or str(root) in " ".join([*words, told]):
                found.append(" ".join(words)[:200])
        except (psutil.Error, OSError):
            continue
    return found
