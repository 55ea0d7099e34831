"""`cairn retro candidates`: one bounded JSON object, warnings on stderr."""

import json
from pathlib import Path
from typing import Any

import pytest

from cairn.cli.main import main


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CAIRN_REGISTRY", raising=False)
    paths = {"reports": "reports", "experiment_log": "log.md"}
    (tmp_path / "registry.json").write_text(json.dumps({"domain": "research", "paths": paths}))
    (tmp_path / "reports").mkdir()
    for day in range(1, 10):
        (tmp_path / "reports" / f"run-2026-01-0{day}.md").write_text(f"# Report: run {day}\n")
    return tmp_path


def run(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["retro", "candidates", "--root", str(root), *arguments])
    output = capsys.readouterr()
    assert stop.value.code == code, output.err
    return output.out, output.err


def test_one_json_object(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(root, capsys, "run", "--json", "--limit", "2")
    data: dict[str, Any] = json.loads(out)
    assert (data["domain"], data["registry"]) == ("research", str(root / "registry.json"))
    assert data["paths"]["reports"] == str(root / "reports")
    assert (data["looked_at"], data["total"], len(data["candidates"])) == (9, 9, 2)
    assert data["candidates"][0] == {
        "source": "report",
        "path": "reports/run-2026-01-09.md",
        "line": None,
        "title": "Report: run 9",
        "date": "2026-01-09",
        "date_from": "name",
        "size_bytes": 16,
        "status": None,
        "why": ["below the folder of reports"],
        "score": 0,
    }
    assert "log.md is not there" in err


def test_text_says_when_it_is_unclear(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(root, capsys, "softmax")
    assert out == "0 of 9 candidates\nunclear: nothing matches\n"
    out, _ = run(root, capsys, "--since", "2026-01-08")
    assert out.splitlines()[0].startswith("2026-01-09  Report: run 9  (reports/run-2026-01-09.md; ")


def test_exit_codes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(root, capsys, "--since", "last week", code=2)
    (root / "registry.json").write_text("{}")
    (root / "reports").rename(root / "elsewhere")
    _, err = run(root, capsys, code=69)
    assert "paths.reports" in err
