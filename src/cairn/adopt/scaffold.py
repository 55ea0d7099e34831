"""What `cairn init` puts into a project: a registry, AGENT.md, its merge driver, and lines that git needs."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from cairn.adopt.changes import Change
from cairn.adopt.ground import Ground
from cairn.errors import Missing
from cairn.learnings.edit import skeleton
from cairn.learnings.merge_driver import SETTINGS, attribute_lines
from cairn.worker.scratch import scratch

_IGNORED = ".cairn/"
_TARGETS = {"pallas": ["tpu-v5p"], "cuda": ["gpu:device"]}


@dataclass(frozen=True)
class Scaffold:
    """The changes, those to git's own configuration apart (a sandbox may refuse them), and what is kept as it is."""

    files: tuple[Change, ...]
    git_config: tuple[Change, ...]
    kept: tuple[str, ...]


def scaffold(ground: Ground, domain: str, targets: Sequence[str], today: date) -> Scaffold:
    """Everything that is missing in the project; what is there already is kept byte for byte."""
    kept: list[str] = []
    files: list[Change] = []
    if ground.registry is not None and ground.registry.path is not None:
        learnings = ground.registry.paths.learnings
        kept.append(f"{ground.registry.path}: the registry that is there stays as it is")
    else:
        learnings = ground.root / "AGENT.md"
        text = json.dumps(_registry(ground.root, domain, targets, today), indent=2, ensure_ascii=False) + "\n"
        files.append(Change(Path("registry.json"), text.encode(), f"domain, paths and settings ({domain})"))
    relative = learnings.resolve().relative_to(ground.root.resolve())
    if learnings.exists():
        kept.append(f"{learnings}: the learnings that are there stay as they are")
    else:
        files.append(Change(relative, skeleton("\n").encode(), "the numbered learnings of this project"))
    if ground.git is None:
        kept.append("no git repository: no merge driver and no .gitignore; `cairn climb` needs one")
        return Scaffold(tuple(files), (), tuple(kept))
    files.append(_ignored(ground.root))
    top = ground.git.top.resolve()
    files.append(_attributes(ground.root, top, ground.root.resolve() / relative))
    return Scaffold(tuple(files), (_configured(ground.git.git_dir / "config"),), tuple(kept))


def _registry(root: Path, domain: str, targets: Sequence[str], today: date) -> dict[str, Any]:
    return {
        "domain": domain,
        "version": "0.1.0",
        "created": today.isoformat(),
        "updated": today.isoformat(),
        "skills": {},
        "paths": {
            "learnings": "AGENT.md",
            "kernels": _kernels_folder(root),
            "runs": ".cairn/runs",
            "reports": _first(root, ("docs/reports", "reports", "results"), "docs/reports"),
            "experiment_log": _first(
                root, ("docs/experiment-log.md", "experiment-log.md"), "docs/experiment-log.md"
            ),
        },
        "targets": list(targets) or _TARGETS.get(domain, []),
        "climb": {"attempts": 6, "margin": 0.05},
    }


def _kernels_folder(root: Path) -> str:
    """`kernels`, unless that is a folder of the user's own code."""
    folder = root / "kernels"
    return "kernels" if not folder.exists() or any(folder.glob("*/problem.yaml")) else "kernel_problems"


def _first(root: Path, names: Sequence[str], otherwise: str) -> str:
    return next((name for name in names if (root / name).exists()), otherwise)


def _ignored(root: Path) -> Change:
    lines = [_IGNORED] if not {".cairn", "/.cairn", "/.cairn/", _IGNORED} & _lines(root / ".gitignore") else []
    return _appended(root, Path(".gitignore"), lines, "runs, receipts and worktrees stay out of git")


def _attributes(root: Path, top: Path, learnings: Path) -> Change:
    """In the repository's top folder, which may lie above the project."""
    path = top / ".gitattributes"
    lines = [line for line in attribute_lines(learnings, top) if line not in _lines(path)]
    key = path.relative_to(root) if top == root.resolve() else path
    return _appended(root, key, lines, "AGENT.md is merged entry by entry")


def _lines(path: Path) -> set[str]:
    return set(path.read_text(encoding="utf-8", errors="replace").splitlines()) if path.is_file() else set()


def _appended(root: Path, name: Path, lines: Sequence[str], why: str) -> Change:
    """The file with lines at its end, in its own line endings; other bytes stay."""
    path = root / name
    text = path.read_bytes() if path.is_file() else b""
    newline = b"\r\n" if b"\r\n" in text else b"\n"
    gap = newline if lines and text and not text.endswith(b"\n") else b""
    return Change(name, text + gap + b"".join(line.encode() + newline for line in lines), why)


def _configured(path: Path) -> Change:
    """git's configuration of this clone with the merge driver in it, as git itself would write it.

    Raises:
        Missing: git cannot read the configuration.
    """
    with scratch("config") as folder:
        copy = folder / "config"
        copy.write_bytes(path.read_bytes() if path.is_file() else b"")
        for name, value in SETTINGS:
            command = ["git", "config", "--file", str(copy)]
            known = subprocess.run([*command, "--get", name], capture_output=True, text=True, check=False)
            if known.stdout.rstrip("\n") == value:
                continue
            done = subprocess.run([*command, name, value], capture_output=True, text=True, check=False)
            if done.returncode:
                raise Missing(
                    f"git cannot change a copy of {path}: {done.stderr.strip()}", hint="see `git config -l`"
                )
        return Change(path, copy.read_bytes(), "git calls `cairn learnings merge` for AGENT.md")
