"""Trouble by its class: what is tried again, what is never, what ends a climb, and with which exit code."""

import errno
import re
import shutil
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from climbs import BRANCH, VARIANT, Bench, Killed
from fakes import FakeJudge, Once, block, claimed

from cairn.agents.claim import read_claim
from cairn.agents.protocol import EditOutcome, EditTask
from cairn.climb import failures, policy
from cairn.climb.claims import claim_fields
from cairn.climb.ends import ENDS, ends_table
from cairn.climb.interrupts import Interrupts
from cairn.climb.ledger import Event, Ledger
from cairn.climb.likeness import likeness_of
from cairn.climb.references import read_reference
from cairn.climb.spec import Sync
from cairn.errors import TryAgain, UsageError
from cairn.git import Git
from cairn.judge.verdict import REASONS, Ruling
from cairn.variant_text import with_defaults
from workspace import Workspace


def test_every_failure_of_an_agent_and_every_verdict_has_a_class() -> None:
    from cairn.agents.protocol import FAILURES

    assert set(FAILURES) == set(failures.OF_AGENT)
    assert set(failures.OF_AGENT.values()) <= set(failures.RULES)
    for reason, (_, measurement, _) in REASONS.items():
        found = failures.class_of_receipt({"class": measurement})
        assert (found in failures.RULES) == (measurement != "OK"), reason
    assert len(failures.RULES) == 9
    assert failures.rules_table().count("\n") == 10
    assert ends_table().count("\n") == len(ENDS) + 1


def test_a_rate_limit_is_waited_for_and_not_counted(workspace: Workspace) -> None:
    lifted = datetime.now(UTC) + timedelta(seconds=2)
    agent = Once([EditOutcome("failed", reason="rate_limit", retry_at=lifted)], [block(16)])
    bench = Bench(workspace, agent=agent)
    climb, rested = bench.climb(1), list[float]()
    climb.rest_device = rested.append
    state = climb.run()
    assert datetime.now(UTC) >= lifted
    assert len(rested) == 1
    assert bench.decisions() == ["kept"]
    assert [attempt.phase for attempt in state.attempts.values()] == ["abandoned", "recorded"]
    waits = [event for event in Ledger(bench.folder / "ledger.jsonl").events if event["event"] == "climb.waiting"]
    assert [event["why"].split(":")[0] for event in waits] == ["rate_limit"]


@pytest.mark.parametrize("reason", ["rate_limit", "infra"])
def test_trouble_of_the_machine_does_not_count_although_a_kill_came_first(
    workspace: Workspace, reason: str
) -> None:
    bench = Bench(workspace, agent=Once([EditOutcome("failed", reason=reason)], [block(16)]))

    def kill(event: Event) -> None:
        if event["event"] == "attempt.edited" and event["failure"]:
            raise Killed

    with pytest.raises(Killed):
        bench.run(attempts=1, on_event=kill)
    state = bench.run(attempts=1)
    assert bench.decisions() == ["kept"]
    assert [attempt.phase for attempt in state.attempts.values()] == ["abandoned", "recorded"]


class Flaky(FakeJudge):
    """A judge whose helpers die the first `deaths` times that a candidate comes."""

    deaths = 0

    def judge(self, variant: Any, *arguments: Any, **named: Any) -> Any:
        if Flaky.deaths and not named.get("anchor"):
            Flaky.deaths -= 1
            raise TryAgain("the device went away")
        return super().judge(variant, *arguments, **named)


def test_a_blocked_attempt_keeps_its_edit_and_is_judged_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn.climb.bench.pause_s", lambda times: 0.01)
    bench = Bench(workspace, block(16), block(32))
    bench.open_judge = lambda problem: Flaky(problem, bench.asked)
    Flaky.deaths = 2
    bench.run()
    assert bench.decisions() == ["kept", "kept"]
    assert len(bench.agent.seen) == 2
    assert bench.state().attempts["a0001"].blocked == 2
    Flaky.deaths = 99
    bench.agent.acts.append(block(64))
    state = bench.run(attempts=3)
    assert state.ended == "judge_infra"
    assert [attempt.id for attempt in state.queue] == ["a0003"]
    assert workspace.git("rev-parse", "refs/cairn/night/a0003").strip() == state.attempts["a0003"].candidate
    Flaky.deaths = 0
    assert bench.run(attempts=3).ended == "attempts_done"
    assert len(bench.agent.seen) == 3
    assert bench.judged() == ["start", "a0001", "a0002", "a0003"]
    bench.assert_clean()


class Mortal(FakeJudge):
    """A judge whose process is killed while it prices the start, so often that a launch gives up."""

    deaths = 0

    def judge(self, variant: Any, *arguments: Any, **named: Any) -> Any:
        case = super().judge(variant, *arguments, **named)
        if Mortal.deaths:
            Mortal.deaths -= 1
            case.prices, case.incumbent_prices, case.floors = [], [], []
            case.ruling = Ruling("killed", "by signal 9")
        return case


@pytest.mark.parametrize("deaths", [2, 3])
def test_a_judge_that_is_killed_over_the_start_is_nobodys_fault(workspace: Workspace, deaths: int) -> None:
    bench = Bench(workspace, block(16))
    bench.open_judge = lambda problem: Mortal(problem, bench.asked)
    Mortal.deaths = deaths
    if deaths == 3:
        with pytest.raises(TryAgain, match="could not finish"):
            bench.run()
    assert bench.run().ended == "attempts_done"
    assert bench.judged() == ["start", "a0001"]
    bench.assert_clean()


def test_a_full_disk_ends_cleanly_and_nothing_is_lost(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(workspace, block(16), block(32))

    def full(event: Event) -> None:
        if event["event"] == "attempt.judged" and event["attempt"] == "a0002":
            raise OSError(errno.ENOSPC, "No space left on device")

    state = bench.run(on_event=full)
    assert state.ended == "disk_full"
    assert bench.state().ended == "disk_full"
    bench.assert_clean()
    assert bench.run().ended == "attempts_done"
    assert bench.decisions() == ["kept", "kept"]
    assert bench.judged() == ["start", "a0001", "a0002"]


def test_a_ledger_that_the_agent_wrote_into_is_put_back(workspace: Workspace) -> None:
    bench = Bench(workspace)

    def vandal(task: EditTask) -> None:
        block(16)(task)
        (bench.folder / "ledger.jsonl").write_text('{"event": "climb.ended", "reason": "because"}\n')
        subprocess.run(["git", "update-ref", f"refs/heads/{BRANCH}", "main~0"], cwd=workspace.root, check=True)

    bench.agent.acts += [block(32), vandal]
    bench.run(attempts=2)
    state = bench.state()
    assert [attempt.decision for attempt in state.decided] == ["kept", "discarded"]
    assert state.champion == workspace.git("rev-parse", BRANCH).strip()
    assert len(list(bench.folder.glob("ledger.jsonl.found-*"))) == 1
    assert [event["what"] for event in bench.events("climb.repaired")] == ["the ledger", f"branch {BRANCH}"]


@pytest.mark.parametrize(("path", "what"), [("ledger.jsonl", "the ledger"), ("receipts.jsonl", "the receipts")])
def test_a_forged_record_of_the_same_size_is_noticed(workspace: Workspace, path: str, what: str) -> None:
    bench = Bench(workspace)

    def forger(task: EditTask) -> None:
        block(16)(task)
        text = (bench.folder / path).read_text()
        (bench.folder / path).write_text(text.replace("pallas_axpy", "xallas_ayxp"))

    bench.agent.acts += [block(32), forger, block(64)]
    bench.run(attempts=3)
    assert "xallas" not in (bench.folder / path).read_text()
    assert [event["what"] for event in bench.events("climb.repaired")] == [what]


def test_near_duplicates_are_refused_unless_something_changed(workspace: Workspace) -> None:
    def renamed(task: EditTask) -> None:
        text = with_defaults(task.variant.read_text(), {"block": 16})
        task.variant.write_text("# once more\n" + re.sub(r"\bspec\b", "shape_of_a_block", text))

    bench = Bench(workspace, block(64), block(16), renamed, block(32))
    bench.run()
    assert bench.decisions() == ["kept", "discarded", "duplicate", "inconclusive"]
    assert bench.state().attempts["a0003"].refused == "duplicate of a0002: DISCARD (slower)"
    assert len(bench.asked) == 2 + 3  # anchor, three candidates, confirmation
    bench.jax = "0.10.3"
    bench.agent.acts.append(block(16))
    bench.run()
    assert bench.decisions()[-1] == "discarded"


def test_an_idea_that_lost_twice_rests(workspace: Workspace) -> None:
    acts = [claimed(64), claimed(16, idea_class="Tiling"), claimed(32, idea_class="tiling")]
    bench = Bench(workspace, *acts, claimed(8, idea_class="tiling "), claimed(8, idea_class="layout"))
    bench.run()
    assert bench.decisions() == ["kept", "discarded", "inconclusive", "refused", "discarded"]
    prompt = bench.agent.seen[3].prompt
    assert "`tiling` rests for 3 more attempts" in prompt
    assert len(prompt.encode()) < 32_000


def test_who_prints_the_prompt_has_claimed_nothing() -> None:
    echoed = read_claim(f"thinking\n{read_reference('attempt-answer')}")
    assert echoed.idea_class
    fields = claim_fields(EditOutcome("edited", **vars(echoed)))
    assert [fields[name] for name in vars(echoed)] == [""] * 5


def test_a_probe_is_never_promoted(workspace: Workspace) -> None:
    bench = Bench(workspace, claimed(32, idea_class="probe: bound of the copies"))
    bench.run()
    assert bench.decisions() == ["probe"]
    assert bench.commits() == []


def test_likeness_and_simplicity() -> None:
    one = b'"""Doc."""\ndef f(x):\n    y = x + 1  # comment\n    return y\n'
    assert likeness_of(one)[0] == likeness_of(b"def f(x):\n    total = (x + 1)\n    return total\n")[0]
    assert likeness_of(one)[0] != likeness_of(b"def f(x):\n    y = x + 2\n    return y\n")[0]
    assert likeness_of(b"\xff\xfe")[1] is None
    assert policy.is_simpler(90, 100)
    assert not policy.is_simpler(96, 100)
    assert not policy.is_simpler(None, 100)


def test_sync_merges_and_prices_anew(workspace: Workspace, tmp_path: Path) -> None:
    upstream = tmp_path / "upstream"
    shutil.copytree(workspace.root, upstream)
    workspace.git("remote", "add", "origin", str(upstream))
    bench = Bench(workspace, block(16), block(32), sync=Sync("each-iteration"))
    bench.run(attempts=1)
    theirs = Workspace(upstream)
    theirs.git("checkout", "-q", "--", "notes.txt")
    (upstream / "new.txt").write_text("from main\n")
    theirs.git("add", "new.txt")
    theirs.git("commit", "-qm", "main goes on")

    def kill(event: Event) -> None:
        if event["event"] == "climb.synced" and event["commit"]:
            raise Killed

    with pytest.raises(Killed):
        bench.run(on_event=kill)
    state = bench.run()
    assert bench.decisions() == ["kept", "kept"]
    assert workspace.git("show", f"{BRANCH}:new.txt") == "from main\n"
    assert state.problem_at != state.base
    (upstream / VARIANT).write_text("conflict\n")
    theirs.git("commit", "-qam", "the same lines")
    assert bench.run(attempts=3).ended == "sync_conflict"
    bench.assert_clean()


def test_dirty_policies(workspace: Workspace) -> None:
    (workspace.root / "new file.txt").write_text("untracked\n")
    with pytest.raises(UsageError, match="uncommitted changes"):
        Bench(workspace, block(16), dirty="fail").run()
    seen = []

    def look(task: EditTask) -> None:
        seen.append((workspace.root / "notes.txt").read_text())
        block(16)(task)

    bench = Bench(workspace, look, dirty="stash")
    bench.run()
    assert seen == ["committed\n"]
    assert (workspace.root / "notes.txt").read_text() == "the user's unsaved thought\n"
    assert (workspace.root / "new file.txt").read_text() == "untracked\n"
    assert workspace.git("stash", "list") == ""
    assert bench.state().stash is None
    lost = ["-m", "cairn climb night 7", "--", "new file.txt", "notes.txt"]  # as a kill right after it leaves it
    workspace.git("stash", "push", "-q", "-u", *lost)
    bench.run()
    assert (workspace.root / "new file.txt").read_text() == "untracked\n"
    assert workspace.git("stash", "list") == ""


def test_a_stop_is_heard_between_phases(workspace: Workspace) -> None:
    bench = Bench(workspace, block(16), block(32))

    def stop(event: Event) -> None:
        if event["event"] == "attempt.edited":
            (bench.folder / "stop").write_text("phase\n")

    assert bench.run(on_event=stop).ended == "stopped"
    assert bench.decisions() == ["kept"]
    assert bench.run().ended == "attempts_done"


def write_shielded(interrupts: Interrupts, written: list[str]) -> None:
    with interrupts.shielded():
        signal.raise_signal(signal.SIGTERM)
        written.append("a line")


def test_an_interrupt_waits_for_the_line() -> None:
    interrupts = Interrupts()
    with interrupts.listening():
        written: list[str] = []
        with pytest.raises(KeyboardInterrupt):
            write_shielded(interrupts, written)
        assert written == ["a line"]
        assert interrupts.heard == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_a_ledger_of_an_earlier_version_says(workspace: Workspace) -> None:
    from cairn.climb.state import fold

    events: list[Event] = [
        {"event": "climb.started", "base": "b", "branch": BRANCH, "settings": {"target": "tpu-v5p"}},
        {"event": "climb.launched", "agent": "tuner", "attempts": 2},
        {"event": "attempt.planned", "attempt": "a0001", "parent": "b", "agent": "tuner", "time": "t"},
        {
            **{
                "event": "attempt.edited",
                "attempt": "a0001",
                "status": "failed",
                "failure": "timeout",
                "detail": "",
            },
            **{"hypothesis": "", "usage": None, "blob": None, "tunables": {}, "tampered": [], "extra": []},
        },
        {"event": "attempt.decided", "attempt": "a0001", "decision": "failed", "commit": None, "time": "t"},
        {"event": "climb.ended", "reason": "attempts_done"},
    ]
    state = fold(events)
    assert state.decided[0].agent_failure == "timeout"
    assert state.open is None
    assert state.queue == []


def test_private_copies_share_nothing(workspace: Workspace, tmp_path: Path) -> None:
    git = Git(workspace.root)
    git.private_copy(tmp_path / "copy", git.head())
    write_all = "git checkout -qb x; git config core.hooksPath /x; echo 1 > notes.txt; git stash -q; git tag t"
    subprocess.run(["bash", "-c", write_all], cwd=tmp_path / "copy", check=True)
    assert workspace.branches() == ["main"]
    assert workspace.git("stash", "list") == workspace.git("tag") == ""
    assert "hooksPath" not in (workspace.root / ".git" / "config").read_text()
