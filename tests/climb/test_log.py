"""The climb's log: rendered from the ledger, and a lint that finds whatever somebody changed in it."""

from pathlib import Path

import pytest
from climbs import Bench
from fakes import block

from cairn.climb.climb_log import render_log, write_log
from cairn.climb.log_lint import ALL, Finding, LintOptions, lint_log
from workspace import Workspace


@pytest.fixture
def bench(workspace: Workspace) -> Bench:
    bench = Bench(workspace, block(16), block(8), block(32))
    bench.run()
    return bench


def lint(bench: Bench, text: str | None = None) -> list[Finding]:
    path = bench.folder / "log.md"
    if text is not None:
        path.write_text(text)
    git = bench.workspace

    def exists(sha: str) -> bool:
        return sha in git.git("rev-list", "--all")

    return lint_log(path, bench.state(), LintOptions(ALL), exists)


def test_a_log_is_the_ledger_and_every_change_is_found(bench: Bench) -> None:
    path = bench.folder / "log.md"
    text = path.read_text()
    assert text.split("### ")[1:] == render_log(bench.state()).split("### ")[1:]
    assert lint(bench) == []
    state = bench.state()
    kept = state.attempts["a0001"].commit
    assert kept is not None
    changes = {
        "80.000 us": ("79.000 us", "ledger"),
        "0.8000 of": ("0.7000 of", "ledger"),
        "KEEP (faster)": ("KEEP (verified)", "ledger"),
        "- Decision: discarded": ("- Decision: kept", "ledger"),
        f"- Commit: {kept}": ("- Commit: " + "0" * 40, "commit"),
        "- Hypothesis: act 1\n": ("", "field"),
        "### Iteration 2 ": ("### Iteration 4 ", "order"),
        "- Commit: none (discarded)": ("- Commit: (pending)", "pending"),
    }
    for before, (after, code) in changes.items():
        assert before in text, before
        found = lint(bench, text.replace(before, after, 1))
        assert code in {finding.code for finding in found}, (before, found)
    assert [finding.code for finding in lint(bench, text + "x" * 20_000)] == ["size"]


def test_a_log_that_somebody_removed_is_written_anew(bench: Bench) -> None:
    text = (bench.folder / "log.md").read_text()
    (bench.folder / "log.md").unlink()
    bench.agent.acts.append(block(64))
    bench.run(attempts=4)
    now = (bench.folder / "log.md").read_text()
    assert now.startswith(text.rstrip())
    assert now.count("### Iteration") == 4
    assert lint(bench) == []


def test_an_entry_that_comes_late_stands_in_its_place(bench: Bench) -> None:
    path = bench.folder / "log.md"
    text = path.read_text()
    begin, end = text.index("### Iteration 2 "), text.index("### Iteration 3 ")
    path.write_text(text[:begin] + text[end:])
    late = bench.state().attempts["a0002"]
    for _ in range(2):
        write_log(bench.state(), path, late)
        assert [line for line in path.read_text().splitlines() if line] == [
            line for line in text.splitlines() if line
        ]


@pytest.mark.parametrize(
    ("headings", "codes"),
    [
        (["1", "2", "5"], []),
        (["5", "5B", "5C", "6"], []),
        (["2", "1"], ["order"]),
        (["2", "2"], ["order"]),
        (["5B", "5"], ["order"]),
        (["5B", "5A"], ["order"]),
        ([], ["empty"]),
    ],
)
def test_headings_of_a_log_written_by_hand(tmp_path: Path, headings: list[str], codes: list[str]) -> None:
    path = tmp_path / "log.md"
    path.write_text("".join(f"### Iteration {name} - x\n\n- Commit: abc\n\n" for name in headings))
    assert [finding.code for finding in lint_log(path)] == codes
