"""What the next attempt is told: bounded however long the climb was, and sterner the longer nothing is gained."""

from climbs import Bench
from fakes import COSTS_US, block

from cairn.agents.protocol import EditOutcome, EditTask
from cairn.climb.ledger import Event, Ledger
from cairn.climb.memory import DIGEST_BYTES, digest
from cairn.climb.policy import escalation
from cairn.climb.state import State, fold
from workspace import Workspace


def repeated(events: list[Event], count: int, **changes: object) -> list[Event]:
    """The events, and then those of their last attempt again and again under other ids."""
    last = fold(events).decided[-1].id
    lines = [event for event in events if event.get("attempt") == last]
    copies = [
        {**line, "attempt": f"a{1000 + number}", **{key: changes[key] for key in changes if key in line}}
        for number in range(count)
        for line in lines
    ]
    return [*events, *copies]


def climbed(workspace: Workspace, *sizes: int) -> list[Event]:
    """The ledger of a climb whose agent is long-winded."""

    def said(task: EditTask) -> EditOutcome:
        block(sizes[len(task.history) - 1])(task)
        return EditOutcome("edited", hypothesis="ü" * 1500, evidence="e" * 1500, idea_class="c" * 90)

    bench = Bench(workspace, *[said] * len(sizes))
    bench.run()
    return Ledger(bench.folder / "ledger.jsonl").events


def told(state: State) -> str:
    learnings = [f"[F{number:03}] {'l' * 400}" for number in range(500)]
    return digest(state, learnings, "\n".join(["profile " * 30] * 200))


def test_a_digest_is_bounded_and_no_part_crowds_out_another(workspace: Workspace) -> None:
    events = climbed(workspace, 16, 8)
    short, long = (told(fold(repeated(events, count))) for count in (0, 500))
    for text in (short, long):
        assert len(text.encode()) <= DIGEST_BYTES
        assert all(title in text for title in ("### Where the climb stands", "### Last results", "### Dead ends"))
        assert all(title in text for title in ("### Learnings of this project", "### Where the champion spends"))
    assert "more are left out" in long


def test_after_losses_and_small_gains_another_kind_of_change_is_asked_for(workspace: Workspace) -> None:
    events = climbed(workspace, 16, 8)
    assert escalation(fold(events)) == ""
    assert "Escalate: 3 judged attempts without a gain" in escalation(fold(repeated(events, 2)))
    assert escalation(fold(repeated(events, 5))).startswith("6 judged attempts since the last gain. Pivot")
    gain = next(event for event in events if event["event"] == "attempt.judged")
    small = [{**event, "ratio": 0.98} if event is gain else event for event in events[: events.index(gain) + 4]]
    assert fold(small).decided[-1].commit
    assert "the last gain was below 3 %" in escalation(fold(small))
    assert COSTS_US[16] / COSTS_US[8] < 0.97
