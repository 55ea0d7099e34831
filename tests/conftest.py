"""Fixtures of all tests: a private home, and a real project in a real temporary git repository."""

import json
import os
import shutil
from pathlib import Path

import pytest

from workspace import TOY, Workspace, git


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the caller's settings, identity or tokens."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for name in ("CAIRN_REGISTRY", "GH_TOKEN", "GITHUB_TOKEN", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "CAIRN_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return home


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
