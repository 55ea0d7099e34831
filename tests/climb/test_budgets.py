"""Every budget ends a climb, in time, and says which it was; what is put aside for ever has an end as well."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from climbs import Bench
from fakes import Once, after, block

from cairn.agents.protocol import EditOutcome, EditTask, Usage
from cairn.climb.ends import ENDS
from cairn.climb.ledger import Ledger
from cairn.climb.spec import Batch, Budgets
from workspace import Workspace


def test_a_rate_limit_beyond_the_budget_ends_the_climb(workspace: Workspace) -> None:
    lifted = datetime.now(UTC) + timedelta(hours=2)
    agent = Once([EditOutcome("failed", reason="rate_limit", retry_at=lifted)], [block(16)])
    started = time.monotonic()
    state = Bench(workspace, agent=agent, budgets=Budgets(wait_s=60)).run(attempts=1)
    assert state.ended == "rate_limit"
    assert ENDS["rate_limit"].code == 75
    assert time.monotonic() - started < 30


def budget_of(outcome: EditOutcome) -> list[Callable[[EditTask], EditOutcome]]:
    return [after(outcome, block(size)) for size in (16, 32, 64, 16, 32, 64, 16, 32)]


@pytest.mark.parametrize(
    ("changes", "outcome", "ended", "attempts"),
    [
        ({"budgets": Budgets(tokens=1000)}, EditOutcome("edited", usage=Usage(300, 0, 100)), "tokens", 2),
        ({"budgets": Budgets(cost_usd=1.0)}, EditOutcome("edited", cost_usd=0.4), "money", 2),
        ({"budgets": Budgets(cost_usd=1.0)}, EditOutcome("edited"), "money_unknown", 1),
        ({"budgets": Budgets(stall=2)}, EditOutcome("nothing"), "stall", 2),
        ({"budgets": Budgets(max_failures=1)}, EditOutcome("failed", reason="output"), "too_many_failures", 2),
        ({"budgets": Budgets(plateau=0.15)}, EditOutcome("edited"), "plateau", 2),
        ({"no_commit": "fail"}, EditOutcome("nothing"), "no_change", 1),
        ({"wall_s": 0.0}, EditOutcome("edited"), "wall_clock", 0),
    ],
)
def test_every_budget_ends_it(
    workspace: Workspace, changes: dict[str, Any], outcome: EditOutcome, ended: str, attempts: int
) -> None:
    bench = Bench(workspace, *budget_of(outcome), **changes)
    state = bench.run()
    assert (state.ended, len(state.decided)) == (ended, attempts)
    last = Ledger(bench.folder / "ledger.jsonl").events[-1]
    assert (last["reason"], last["code"]) == (ended, ENDS[ended].code)


def test_the_wall_clock_cuts_an_edit_short(workspace: Workspace) -> None:
    def slow(task: EditTask) -> EditOutcome:
        while not task.cancelled():
            time.sleep(0.05)
        return EditOutcome("failed", reason="cancelled")

    started = time.monotonic()
    state = Bench(workspace, slow, slow, wall_s=3.0).run()
    assert state.ended == "wall_clock"
    assert state.decided == []
    assert time.monotonic() - started < 20


def test_an_agent_that_names_now_this_now_that_trouble_has_an_end(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither counts as an attempt, so without an end of its own it would go on for ever."""
    monkeypatch.setattr("cairn.climb.engine.pause_s", lambda times: 0.01)
    lifted = datetime.now(UTC)
    both = [EditOutcome("failed", reason="infra"), EditOutcome("failed", reason="rate_limit", retry_at=lifted)]
    monkeypatch.setattr("cairn.climb.engine._until_lifted", lambda outcome, times: 0.01)
    state = Bench(workspace, agent=Once(both * 20, [block(16)])).run(attempts=1)
    assert state.ended == "agent_infra"
    assert len(state.attempts) == 9


def test_who_says_that_it_was_cancelled_is_not_asked_for_ever(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn.climb.engine.pause_s", lambda times: 0.01)
    state = Bench(workspace, agent=Once([EditOutcome("failed", reason="cancelled")] * 20, [])).run(attempts=3)
    assert state.ended == "agent_infra"
    assert len(state.attempts) == 5


def test_a_service_that_is_down_for_a_round_is_down_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn.climb.engine.pause_s", lambda times: 0.01)
    down = [EditOutcome("failed", reason="infra")] * 6
    bench = Bench(workspace, agent=Once(down, [block(16), block(32)]), batch=Batch(6, 1, 1))
    state = bench.run(attempts=6)
    assert [attempt.phase for attempt in state.attempts.values()][:6] == ["abandoned"] * 6
    assert "kept" in [attempt.decision for attempt in state.decided]


def test_an_agent_whose_file_fills_the_disk_until_it_ends_is_the_one_to_blame(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without a name gives its room back with the agent: looked at afterwards, nothing is wrong."""
    full = []
    monkeypatch.setattr("cairn.climb.control.Control.disk_is_full", lambda control: bool(full))

    def fill(task: EditTask) -> EditOutcome:
        full.append(1)
        time.sleep(0.6)  # it is looked at twice a second
        assert task.cancelled()
        full.clear()
        return EditOutcome("failed", reason="cancelled")

    def next_one(task: EditTask) -> None:
        assert not task.cancelled()
        block(16)(task)

    bench = Bench(workspace, fill, next_one)
    state = bench.run()
    assert [attempt.failure for attempt in state.decided] == ["disk", ""]
    assert bench.decisions() == ["failed", "kept"]
