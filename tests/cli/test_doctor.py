"""`cairn doctor` says what works, tries the real thing, and reveals no secret."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workspace import Workspace

COMMAND = [sys.executable, "-c", "from cairn.cli.main import main; main()", "doctor"]


def doctor(cwd: Path, *arguments: str, env: dict[str, str] | None = None) -> dict[str, object]:
    done = subprocess.run(
        [*COMMAND, "--json", *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.tpu_compiler
def test_what_works_here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_verysecret")
    report = doctor(workspace.root)
    assert "ghp_verysecret" not in json.dumps(report)
    findings = {finding["name"]: finding for finding in report["findings"]}  # type: ignore[attr-defined]
    for name in (
        "python",
        "jax",
        "libtpu",
        "optuna",
        "git",
        "git-writable",
        "sockets",
        "registry",
        "github-token",
    ):
        assert findings[name]["ok"], findings[name]
    assert "describes a TPU v5" in findings["libtpu"]["detail"]
    for finding in findings.values():
        assert finding["ok"] or finding["fix"], finding
    assert report["commands"]["judge"] is True  # type: ignore[index]
    assert workspace.git("status", "--porcelain") == " M notes.txt\n"


def test_what_is_missing_comes_with_its_fix(tmp_path: Path) -> None:
    project = tmp_path / "plain"
    project.mkdir()
    (project / "registry.json").write_text('{"climb": {"python": "no/such/python"}}')
    git = shutil.which("git")
    assert git is not None
    report = doctor(project, env={"PATH": str(Path(git).parent), "HOME": str(tmp_path)})
    findings = {finding["name"]: finding for finding in report["findings"]}  # type: ignore[attr-defined]
    assert not findings["jax"]["ok"]
    assert "climb.python" in findings["jax"]["fix"]
    assert not findings["git"]["ok"]
    assert "git init" in findings["git"]["fix"]
    assert report["commands"]["judge"] is False  # type: ignore[index]
    assert report["commands"]["learnings"] is True  # type: ignore[index]
