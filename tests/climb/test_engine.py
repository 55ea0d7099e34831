"""The loop: what it keeps, what it refuses, and that a kill anywhere loses no attempt and judges none twice."""

import itertools
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from climbs import BRANCH, VARIANT, Bench, Killed, killed_at
from fakes import FakeJudge, block, write

from cairn.agents.protocol import EditOutcome, EditTask
from cairn.climb.engine import Climb, ClimbSpec
from cairn.climb.ledger import Event
from cairn.errors import Missing, TryAgain, UsageError
from cairn.judge.receipt import ReceiptBook
from cairn.roofline import parse_target
from workspace import Workspace


def test_keeps_the_better_and_discards_the_worse(workspace: Workspace) -> None:
    bench = Bench(workspace, block(16), block(8), block(32), block(64))
    state = bench.run()
    assert bench.decisions() == ["kept", "discarded", "kept", "inconclusive"]
    assert state.ended == "attempts_done"
    assert state.champion_us == 60.0
    assert state.champion == workspace.git("rev-parse", BRANCH).strip()
    assert len(bench.commits()) == 2
    message = workspace.git("log", "-1", "--format=%B", BRANCH)
    assert "Hypothesis: act 2" in message
    assert "80.0 us -> 60.0 us, 0.750 of it" in message
    assert f"Cairn-Receipt: {state.champion_receipt}" in message
    assert workspace.git("diff", "--name-only", f"main..{BRANCH}").split() == [VARIANT]
    book = ReceiptBook(bench.folder / "receipts.jsonl")
    assert not book.broken_links()
    assert bench.judged() == ["start", "a0001", "a0002", "a0003", "a0004"]
    assert state.confirmed is not None
    assert (state.confirmed["us"], state.confirmed["baseline_us"]) == (60.0, 70.0)
    bench.assert_clean()


def test_the_same_command_again_does_nothing_more(workspace: Workspace) -> None:
    bench = Bench(workspace, block(16), block(32))
    first = bench.run()
    asked = len(bench.asked)
    again = bench.run()
    assert again.champion == first.champion
    assert len(bench.asked) == asked
    assert len(bench.commits()) == 2
    more = bench.run(attempts=3)  # the agent has nothing left
    assert more.ended == "search_space_exhausted"


def test_what_a_kill_left_of_a_file_goes_with_the_next_launch(workspace: Workspace) -> None:
    bench = Bench(workspace, block(16), block(32))
    bench.run(attempts=1)
    (bench.folder / ".log.md.abcd1234").write_text("half")
    (bench.folder / ".own.md.abcd1234").write_text("somebody else's")
    bench.run()
    assert [path.name for path in bench.folder.glob(".*.????????")] == [".own.md.abcd1234"]


def test_another_environment_means_new_anchors(workspace: Workspace) -> None:
    bench = Bench(workspace, block(16), block(32))
    bench.run(attempts=1)
    bench.run(attempts=1)
    assert bench.judged() == ["start", "a0001"]
    bench.jax = "0.10.3"
    state = bench.run()
    assert bench.judged() == ["start", "a0001", "start", "champion", "a0002"]
    assert state.measured is not None
    assert state.measured["fingerprint"]["jax"] == "0.10.3"
    assert state.champion_us == 60.0


def misbehaves(act: Callable[[EditTask], None]) -> Callable[[EditTask], None]:
    """A better block beside whatever else the agent does."""

    def both(task: EditTask) -> None:
        block(16)(task)
        act(task)

    return both


def shell(command: str) -> Callable[[EditTask], None]:
    def act(task: EditTask) -> None:
        environment = {**os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@localhost"}
        environment |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@localhost"}
        subprocess.run(["bash", "-c", command], cwd=task.workdir, env=environment, check=True, capture_output=True)

    return act


@pytest.mark.parametrize(
    ("act", "decision"),
    [
        (misbehaves(write("kernels/axpy/reference.py", "loosened = True\n")), "rejected"),
        (misbehaves(write("kernels/axpy/problem.yaml", "name: x\n")), "rejected"),
        (misbehaves(write("kernels/axpy/variants/xla_axpy.py", "slow = True\n")), "rejected"),
        (misbehaves(shell("git rm -q notes.txt")), "rejected"),
        (misbehaves(shell(f"ln -sf /etc/hostname {VARIANT}")), "rejected"),
        (misbehaves(shell(f"rm {VARIANT}")), "rejected"),
        (write(VARIANT, "import os\n"), "crashed"),
        (write("scratch.txt", "only notes\n"), "nothing"),
        (misbehaves(write("scratch.txt", "notes\n")), "kept"),
        (misbehaves(shell("git add -A && git commit -qm sneaky")), "kept"),
        (misbehaves(shell("git add -A && git commit -qm one && git checkout -q -b elsewhere")), "kept"),
        (misbehaves(shell("rm -rf .git; git checkout -b astray || true")), "kept"),
        (lambda task: EditOutcome("failed", reason="timeout"), "failed"),
        (lambda task: EditOutcome("nothing"), "nothing"),
    ],
)
def test_what_an_agent_may_and_may_not_do(
    workspace: Workspace, act: Callable[[EditTask], EditOutcome | None], decision: str
) -> None:
    bench = Bench(workspace, act)
    state = bench.run()
    assert bench.decisions() == [decision]
    assert len(bench.commits()) == (1 if decision == "kept" else 0)
    if decision == "kept":
        assert workspace.git("diff", "--name-only", f"main..{BRANCH}").split() == [VARIANT]
    if decision == "rejected":
        receipt = ReceiptBook(bench.folder / "receipts.jsonl").find(attempt="a0001")
        assert receipt is not None
        assert (receipt["verdict"], receipt["reason"]) == ("INVALID", "frozen_changed")
        assert b"def run" not in (bench.asked[-1] if state.attempts["a0001"].blob is None else b"")
    bench.assert_clean()


def test_the_same_text_is_not_judged_twice(workspace: Workspace) -> None:
    bench = Bench(workspace, block(64), block(8), block(16), block(16))
    bench.run()
    assert bench.decisions() == ["kept", "discarded", "discarded", "duplicate"]


@pytest.mark.parametrize(("reason", "ended"), [("not_found", "agent_not_found"), ("auth", "agent_auth")])
def test_a_hopeless_agent_ends_the_climb(workspace: Workspace, reason: str, ended: str) -> None:
    acts = [lambda task: EditOutcome("failed", reason=reason, detail="go away")] * 5
    bench = Bench(workspace, *acts)
    state = bench.run()
    assert (state.ended, state.ended_detail) == (ended, "a0001: go away")
    assert bench.decisions() == ["failed"]


@pytest.mark.parametrize(
    ("outcome", "ended", "changes"),
    [
        (EditOutcome("failed", reason="auth"), "agent_auth", {}),
        (EditOutcome("failed", reason="timeout"), "agent_keeps_failing", {}),
        (EditOutcome("exhausted"), "search_space_exhausted", {}),
        (EditOutcome("nothing"), "no_change", {"no_commit": "fail"}),
    ],
)
def test_an_agent_that_was_mended_is_asked_again_by_the_next_launch(
    workspace: Workspace, outcome: EditOutcome, ended: str, changes: dict[str, Any]
) -> None:
    bench = Bench(workspace, *[lambda task: outcome] * 3, **changes)
    state = bench.run(attempts=5)
    assert state.ended == ended
    del bench.agent.acts[len(bench.agent.seen) :]
    bench.agent.acts += [block(16), block(32)]
    assert bench.run(attempts=len(state.decided) + 2).ended == "attempts_done"
    assert bench.decisions()[-2:] == ["kept", "kept"]


def test_an_agent_that_keeps_failing_ends_the_climb(workspace: Workspace) -> None:
    bench = Bench(workspace, *[lambda task: EditOutcome("failed", reason="timeout")] * 9)
    assert bench.run().ended == "agent_keeps_failing"
    assert bench.decisions() == ["failed"] * 3


def test_history_and_prompt_tell_the_story(workspace: Workspace) -> None:
    (workspace.root / "AGENT.md").write_text(
        "# Knowledge\n\n## Failure Patterns\n\n### [F003] axpy with tiny blocks waits for its copies\n\n"
        "- **Symptom**: slow\n\n### [F004] something about attention\n\n- **Symptom**: other\n"
    )
    bench = Bench(workspace, block(16), block(8), block(32))
    bench.run()
    task = bench.agent.seen[-1]
    assert "[F003] axpy with tiny blocks" in task.prompt
    assert "[F004]" not in task.prompt
    assert [(t.attempt, t.tunables["block"], t.cost_us) for t in task.history] == [
        ("start", 8, 100.0),
        ("a0001", 16, 80.0),
        ("a0002", 8, 100.0),
    ]
    assert VARIANT in task.prompt
    assert "80.0 us predicted" in task.prompt
    assert "a0002: discarded, slower, 100.0 us (1.250); act 1" in task.prompt
    assert "`block`: one of [8, 16, 32, 64]" in task.prompt
    assert "heldout" not in task.prompt
    assert (task.log_dir / "prompt.md").read_text() == task.prompt
    assert "+    block: int = 32" in (task.log_dir / "change.patch").read_text()


@pytest.mark.timeout(600)
def test_killed_after_every_ledger_line(workspace: Workspace, tmp_path: Path) -> None:
    """The same end from every cut, each text judged once, and every id used once."""
    import shutil

    acts = (block(16), block(8), misbehaves(write("kernels/axpy/reference.py", "x = 1\n")), block(32))
    count = 0
    pristine = tmp_path / "pristine"
    shutil.copytree(workspace.root, pristine)

    def counted(event: Event) -> None:
        nonlocal count
        count += 1

    whole = Bench(Workspace(Path(shutil.copytree(pristine, tmp_path / "whole"))), *acts)
    whole.run(on_event=counted)
    end = whole.workspace.git("rev-parse", f"{BRANCH}:{VARIANT}")
    assert count > 20
    for cut in range(1 + random.randrange(3), count, 3):  # every line after some runs of the tests
        bench = Bench(Workspace(Path(shutil.copytree(pristine, tmp_path / f"cut-{cut}"))), *acts)
        with pytest.raises(Killed):
            bench.run(on_event=killed_at(cut))
        bench.run()
        assert bench.workspace.git("rev-parse", f"{BRANCH}:{VARIANT}") == end, cut
        assert len(bench.commits()) == 2, cut
        receipts = ReceiptBook(bench.folder / "receipts.jsonl")
        attempts = [receipt["attempt"] for receipt in receipts.all()]
        assert len(set(attempts)) == len(attempts), cut
        assert not receipts.broken_links()
        assert [d for d in bench.decisions() if d != "failed"] == ["kept", "discarded", "rejected", "kept"], cut
        bench.assert_clean()


def test_killed_between_commit_and_ledger(workspace: Workspace) -> None:
    """The branch has moved, the ledger does not know: the commit is recognised by its trailer, not made again."""
    bench = Bench(workspace, block(16))
    bench.run()
    ledger = bench.folder / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    kept = list(itertools.takewhile(lambda line: b'"attempt.decided"' not in line, lines))
    ledger.write_bytes(b"".join(kept) + b'{"n": 99, "torn')
    tip = workspace.git("rev-parse", BRANCH)
    state = bench.run()
    assert workspace.git("rev-parse", BRANCH) == tip
    assert state.champion == tip.strip()
    assert len(bench.commits()) == 1
    bench.assert_clean()


def test_a_branch_that_somebody_moved_is_not_overwritten(workspace: Workspace) -> None:
    bench = Bench(workspace, block(16), block(32))
    bench.run(attempts=1)
    workspace.git("commit", "-q", "--allow-empty", "-m", "elsewhere")
    workspace.git("update-ref", f"refs/heads/{BRANCH}", "main")
    with pytest.raises(TryAgain, match="was moved"):
        bench.run()
    assert workspace.git("rev-parse", BRANCH) == workspace.git("rev-parse", "main")


def test_a_branch_without_a_ledger_is_not_taken_over(workspace: Workspace) -> None:
    workspace.git("branch", BRANCH)
    with pytest.raises(UsageError, match="has no ledger of it"):
        Bench(workspace, block(16)).run()


def test_a_checked_out_branch_is_left_alone(workspace: Workspace) -> None:
    bench = Bench(workspace, block(16))
    bench.run()
    workspace.git("checkout", "-q", BRANCH)
    with pytest.raises(UsageError, match="is checked out in"):
        bench.run(attempts=2)


def test_another_target_needs_another_name(workspace: Workspace) -> None:
    bench = Bench(workspace, block(16))
    bench.run()
    spec = bench.spec(2)
    other = ClimbSpec(**{**vars(spec), "target": parse_target("tpu-v6e")})
    climb = Climb(other, bench.agent, judges={"local": lambda problem: FakeJudge(problem, [])})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has target tpu-v5p, not tpu-v6e"):
        climb.run()


def test_a_problem_that_is_not_committed(workspace: Workspace) -> None:
    import shutil

    shutil.copytree(workspace.problem, workspace.root / "kernels" / "new")
    bench = Bench(workspace, block(16))
    spec = ClimbSpec(**{**vars(bench.spec(1)), "problem": workspace.root / "kernels" / "new"})
    climb = Climb(spec, bench.agent, judges={"local": lambda problem: FakeJudge(problem, [])})  # type: ignore[arg-type]
    with pytest.raises(Missing, match="is not committed"):
        climb.run()


def test_hooks_of_the_user_do_not_run(workspace: Workspace) -> None:
    hooks = workspace.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-commit", "post-checkout", "reference-transaction", "post-commit"):
        (hooks / name).write_text("#!/bin/sh\ntouch hook-ran\nexit 1\n")
        (hooks / name).chmod(0o755)
    bench = Bench(workspace, block(16))
    bench.run()
    assert bench.decisions() == ["kept"]
    assert not list(workspace.root.rglob("hook-ran"))
