"""The registry: where it is found, what it says, and how it complains."""

import json
from pathlib import Path

import pytest

from cairn.errors import BadInput, Missing
from cairn.registry import load_registry


def write(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent="\t"), encoding="utf-8")
    return path


def test_defaults_without_a_registry(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").touch()
    (tmp_path / "below").mkdir()
    registry = load_registry(tmp_path / "below")
    assert registry.path is None
    assert registry.paths.learnings == tmp_path / "AGENT.md"
    assert registry.paths.reports is None


def test_an_empty_git_folder_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "below").mkdir()
    assert load_registry(tmp_path / "below").root == tmp_path / "below"


@pytest.mark.parametrize("place", ["registry.json", ".codex/skills/registry.json", ".agents/skills/registry.json"])
def test_found_upwards(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, {"domain": "cuda", "paths": {"reports": "benchmark_results/"}})
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    registry = load_registry(below)
    assert registry.root == tmp_path
    assert registry.domain == "cuda"
    assert registry.paths.reports == tmp_path / "benchmark_results"


def test_the_skills_folder_wins_over_the_root(tmp_path: Path) -> None:
    write(tmp_path / "registry.json", {"domain": "root"})
    write(tmp_path / ".codex/skills/registry.json", {"domain": "codex"})
    assert load_registry(tmp_path).domain == "codex"


def test_explicit_then_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = write(tmp_path / "x" / "registry.json", {"domain": "named"})
    other = write(tmp_path / "y" / "registry.json", {"domain": "environment"})
    monkeypatch.setenv("CAIRN_REGISTRY", str(other))
    assert load_registry(tmp_path, named).domain == "named"
    assert load_registry(tmp_path).domain == "environment"
    with pytest.raises(Missing):
        load_registry(tmp_path, tmp_path / "absent.json")


def test_a_path_that_leaves_the_project(tmp_path: Path) -> None:
    write(tmp_path / "registry.json", {"domain": "x", "paths": {"reports": "../elsewhere"}})
    with pytest.raises(BadInput, match=r"registry\.json:4: paths\.reports: `\.\./elsewhere` leaves"):
        load_registry(tmp_path)


def test_a_wrong_type_names_file_line_and_key(tmp_path: Path) -> None:
    write(tmp_path / "registry.json", {"domain": "x", "paths": {"reports": 3}})
    with pytest.raises(BadInput, match=r"registry\.json:4: paths\.reports: expected `str \| null`, got `int`"):
        load_registry(tmp_path)


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text('{\n"domain": "x",,\n}')
    with pytest.raises(BadInput, match=r"registry\.json:2: not valid JSON"):
        load_registry(tmp_path)


def test_unknown_keys_stay_and_misspellings_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "registry.json", {"domian": "x", "somebody_elses": 1, "paths": {"report": "r"}})
    warnings = load_registry(tmp_path).warnings
    assert len(warnings) == 2
    assert "`domian`; did you mean `domain`?" in warnings[0]
    assert "`paths.report`; did you mean `reports`?" in warnings[1]
