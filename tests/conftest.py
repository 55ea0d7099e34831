"""Fixtures of all tests: a private home, and a real project in a real temporary git repository."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from workspace import TOY, Workspace, git


@pytest.fixture(scope="session", autouse=True)
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing sees the caller's settings, identity, tokens or caches, fixtures of whole modules included.

    What the trusted compiler has said is remembered for the run, in all its processes: the cache is by content, and
    empty when the run begins. A test that wants it empty names a folder of its own in `CAIRN_CACHE`.
    """
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("CAIRN_CACHE", str(run / "cache of this run"))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        for name in ("CAIRN_REGISTRY", "GH_TOKEN", "GITHUB_TOKEN", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def private_home(nobody: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for each test alone."""
    del nobody
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
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
