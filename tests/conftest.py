"""Fixtures of all tests: a private home, and a real project in a real temporary git repository."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

TOY = Path(__file__).parent / "toy" / "axpy"


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the caller's settings, identity or tokens."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for name in ("CAIRN_REGISTRY", "GH_TOKEN", "GITHUB_TOKEN", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home


def git(folder: Path, *arguments: str) -> str:
    """Run git as a user would."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@dataclass(frozen=True)
class Workspace:
    """A user's project: a git repository with the toy problem and a registry."""

    root: Path

    @property
    def problem(self) -> Path:
        return self.root / "kernels" / "axpy"

    @property
    def variant(self) -> Path:
        return self.problem / "variants" / "pallas_axpy.py"

    def git(self, *arguments: str) -> str:
        return git(self.root, *arguments)

    def branches(self) -> list[str]:
        return self.git("branch", "--format=%(refname:short)").split()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A fresh project, committed, with one dirty file that nobody may touch."""
    root = tmp_path / "my project"
    shutil.copytree(TOY, root / "kernels" / "axpy", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "registry.json").write_text(json.dumps({"domain": "pallas", "targets": ["tpu-v5p"]}), encoding="utf-8")
    (root / "notes.txt").write_text("committed\n", encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "start")
    (root / "notes.txt").write_text("the user's unsaved thought\n", encoding="utf-8")
    return Workspace(root)
