"""The command line that must keep working, verbatim, with programs on PATH that play Codex, uv and the allocator."""

import json
from pathlib import Path

import pytest

from cairn.climb.ledger import Ledger
from cairn.climb.state import fold
from gdnctl.project import make_project

COMMAND = (
    "uv run python scripts/gdn/gdnctl.py codex-loop --iterations 10 --model gpt-5.3-codex --reasoning-effort xhigh "
    "--resilient --directive-preset triangular-inversion --dirty-policy stash --no-commit-policy count-failure "
    "--prompt-file scripts/gdn/codex_iteration_prompt.md --hold-dev-tpu --dev-tpu-cluster us-central1 "
    '--dev-tpu-fallback-cluster us-east5-a --dev-tpu-name "$USER-gdn" --dev-tpu-type v5p-8 '
    "--dev-tpu-allocate-attempts 2 --dev-tpu-allocate-retry-sleep 20 "
    '--post-check "uv run python scripts/gdn/gdnctl.py dev-tpu-test --cluster us-central1 --tpu-name $USER-gdn '
    '--tests both" --post-check "uv run python scripts/gdn/gdnctl.py lint-log"'
)
MORE = " --sleep-seconds 0 --hillclimb-log-file docs/hill_climb.md"


@pytest.mark.tpu_compiler
@pytest.mark.timeout(600)
def test_ten_iterations_of_the_verbatim_command(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project.root / "notes.txt").write_text("the user's unsaved thought")

    done = project.run(COMMAND + MORE, timeout=500)

    assert done.returncode == 0, done.stderr
    folder = project.root / ".agents/logs/gdn_codex_loop"
    state = fold(Ledger(folder / "ledger.jsonl").events)
    assert state.ended == "attempts_done"
    assert len(state.decided) == 10
    kept = [attempt for attempt in state.decided if attempt.decision == "kept"]
    assert len(kept) == 2
    assert [check["outcome"] for check in kept[0].checks] == ["passed", "passed"]
    arguments = json.loads((project.outside / "arguments-1").read_text())
    assert arguments[arguments.index("-m") + 1] == "gpt-5.3-codex"
    assert 'model_reasoning_effort="xhigh"' in arguments
    assert "--ephemeral" in arguments
    prompt = (project.outside / "prompt-1").read_text()
    assert "Gated DeltaNet: attempt 1 of 10" in prompt
    assert "### 1. Triangular inversion" in prompt
    assert "no capacity in us-central1" in done.stderr
    assert "holding me-gdn at us-east5-a" in done.stderr
    assert "a post-check has --cluster us-central1, but us-east5-a is held" in done.stderr
    assert "released me-gdn at us-east5-a" in done.stderr
    assert not (project.outside / "held").exists()
    executed = [line for line in project.said() if " execute " in line]
    assert executed
    assert all("marin-us-east5-a" in line for line in executed)
    assert (project.root / "notes.txt").read_text() == "the user's unsaved thought"
    assert (project.root / "docs/hill_climb.md").read_text() == (folder / "log.md").read_text()
    again = project.gdnctl("lint-log --scope all")
    assert again.returncode == 0, again.stdout
