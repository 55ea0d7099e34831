"""Candidates: found below the registry's paths, dated, ranked by the user's words, with reasons."""

import dataclasses
from pathlib import Path

import pytest

from cairn.errors import Missing
from cairn.registry import Registry, load_registry
from cairn.retro.candidates import select

LOG = """\
# Experiment Log

## 2026-01-21 – Retrospective: softmax
**Type:** Retrospective
From softmax-2026-01-20.md.

## 2026-01-25 – Plan: ring buffer
Two buffers instead of one.
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CAIRN_REGISTRY", raising=False)
    write(
        tmp_path,
        {
            ".codex/skills/registry.json": '{"domain": "cuda", "paths": {"reports": "benchmark_results/",'
            ' "experiment_log": "references/experiment-log.md"}}',
            "references/experiment-log.md": LOG,
            "benchmark_results/softmax-2026-01-20.md": "# Report: Online softmax\n- **Status:** Completed\nrows\n",
            "benchmark_results/old/20260110_tiles.md": "---\ntitle: 'Tile sizes'\ndate: 2020-01-01\n---\n# No\n",
            "benchmark_results/ring.md": "---\ncreated: 2026-01-24\nstatus: Abandoned\n---\n\n# Ring buffer\n",
            "benchmark_results/plain.md": "# Report\n**Date**: 2026-01-05\nbuffer of softmax\n",
            "benchmark_results/results.tsv": "run\tms\n1\t2\n",
            "benchmark_results/.hidden.md": "# no\n",
            "benchmark_results/plot.png": "",
        },
    )
    return tmp_path


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def registry(root: Path) -> Registry:
    return load_registry(root)


def test_everything_newest_first_without_words(project: Path) -> None:
    found = select(registry(project))
    assert [(each.path, each.line, each.date, each.date_from, each.status) for each in found.candidates] == [
        ("references/experiment-log.md", 7, "2026-01-25", "text", "Plan"),
        ("benchmark_results/ring.md", None, "2026-01-24", "front matter", "Abandoned"),
        ("references/experiment-log.md", 3, "2026-01-21", "text", "Retrospective"),
        ("benchmark_results/softmax-2026-01-20.md", None, "2026-01-20", "name", "Completed"),
        ("benchmark_results/old/20260110_tiles.md", None, "2026-01-10", "name", None),
        ("benchmark_results/plain.md", None, "2026-01-05", "text", None),
        ("benchmark_results/results.tsv", None, None, None, None),
    ]
    assert found.unclear == "no words to choose by"
    assert [each.title for each in found.candidates if each.source == "report"] == [
        "Ring buffer",
        "Report: Online softmax",
        "Tile sizes",
        "Report",
        "results",
    ]


def test_words_rank_titles_above_texts_and_give_reasons(project: Path) -> None:
    found = select(registry(project), "Retrospective on the softmax runs")
    assert found.words == ("softmax",)
    assert [each.path for each in found.candidates] == [
        "references/experiment-log.md",
        "benchmark_results/softmax-2026-01-20.md",
        "benchmark_results/plain.md",
    ]
    assert found.candidates[1].why == ("below the folder of reports", "`softmax` in its title")
    assert found.candidates[2].why[-2:] == ("no retrospective names it yet", "`softmax` in its text")
    assert found.unclear is None


def test_unclear_when_no_candidate_has_every_word(project: Path) -> None:
    assert select(registry(project), "softmax ring").unclear == "no candidate matches every word"
    assert select(registry(project), "attention").unclear == "nothing matches"
    assert select(registry(project), "ring buffer").unclear is None


def test_since_leaves_out_what_is_older_or_undated(project: Path) -> None:
    dates = [each.date for each in select(registry(project), since="2026-01-21").candidates]
    assert dates == ["2026-01-25", "2026-01-24", "2026-01-21"]


def test_usual_places_without_a_registry(project: Path) -> None:
    (project / ".codex/skills/registry.json").unlink()
    (project / ".git").mkdir()
    assert len(select(registry(project)).candidates) == 7


def test_nothing_to_look_at_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAIRN_REGISTRY", raising=False)
    (tmp_path / "registry.json").write_text("{}")
    with pytest.raises(Missing):
        select(registry(tmp_path))


def test_a_named_log_that_is_not_there_is_said(project: Path) -> None:
    (project / "references/experiment-log.md").unlink()
    found = select(registry(project))
    assert len(found.candidates) == 5
    assert len(found.warnings) == 1
    assert not any("retrospective" in reason for each in found.candidates for reason in each.why)


def test_files_outside_the_project_are_not_read(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret-2026-01-30.md"
    outside.write_text("# secret")
    (project / "benchmark_results/linked-2026-01-30.md").symlink_to(outside)
    assert not any("linked" in each.path for each in select(registry(project)).candidates)


def test_odd_bytes_and_dates_do_no_harm(project: Path) -> None:
    (project / "benchmark_results/odd-2026-99-99.md").write_bytes(b"\xff\xfe# x\r\n")
    odd = next(each for each in select(registry(project)).candidates if "odd" in each.path)
    assert (odd.date, odd.title) == (None, "odd-2026-99-99")


def test_candidates_are_plain_values(project: Path) -> None:
    for each in select(registry(project)).candidates:
        assert dataclasses.asdict(each)["size_bytes"] >= 0
