"""Rounds: several attempts side by side, each knowing the others, judged together; each lineage's best lives on."""

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from climbs import BRANCH, VARIANT, Bench, Killed, killed_at
from fakes import FakeJudge, block

from cairn.agents.protocol import EditOutcome, EditTask
from cairn.agents.tuner import TunerAgent
from cairn.climb.leased import LeasedAgent
from cairn.climb.ledger import Event
from cairn.climb.log_lint import ALL, LintOptions, lint_log
from cairn.climb.spec import Batch
from cairn.execution.leases import NO_LEASE
from cairn.judge.receipt import ReceiptBook
from cairn.roofline import parse_target
from workspace import Workspace

ROUND = Batch(variants=3, lineages=2, workers=3)
SIZES = {1: 16, 2: 32, 3: 64, 4: 32, 5: 64, 6: 8}


class Crew:
    """One agent for all attempts of a round: the number of the attempt says what it does."""

    name = "crew"

    def __init__(self, meet: threading.Barrier | None = None) -> None:
        self.meet = meet
        self.seen: list[EditTask] = []

    def edit(self, task: EditTask) -> EditOutcome:
        if self.meet is not None:
            self.meet.wait(timeout=60)  # broken unless all of them are under way at once
        self.seen.append(task)
        size = SIZES[int(task.attempt[1:]) % 6 or 6]
        block(size)(task)
        return EditOutcome("edited", hypothesis=f"blocks of {size}")


def test_a_round_is_edited_side_by_side_and_the_best_is_kept(workspace: Workspace) -> None:
    bench = Bench(workspace, agent=Crew(threading.Barrier(3)), batch=ROUND)
    state = bench.run(attempts=3)
    assert state.ended == "attempts_done"
    assert sorted(bench.decisions()) == ["advanced", "advanced", "kept"]
    assert len(bench.commits()) == 1
    assert state.champion_us == 60.0
    tasks = bench.agent.seen
    assert len({task.workdir for task in tasks}) == 3
    directions = {attempt.direction for attempt in state.attempts.values()}
    assert len(directions) == 3
    for task in tasks:
        own = state.attempts[task.attempt].direction
        others = directions - {own}
        told = task.prompt.partition("### Tried side by side in this round")[2]
        assert all(other in told for other in others), task.attempt
    folder = bench.folder / "iteration_1"
    for name in ("profile_brief.md", "strategy.md", "batch_analysis.md", "selection.md"):
        assert (folder / name).stat().st_size > 0
    results = [json.loads(path.read_text()) for path in folder.glob("variants/*/eval_result.json")]
    assert {result["attempt"] for result in results} == {"a0001", "a0002", "a0003"}
    lineages = json.loads((bench.folder / "lineages.json").read_text())
    assert len(lineages["lineages"]) == 2
    assert [row["reason"] for row in lineages["pruned"]]
    assert lint_log(bench.folder / "log.md", state, LintOptions(ALL)) == []
    bench.assert_clean()


def test_the_next_round_goes_on_from_the_living_lineages(workspace: Workspace) -> None:
    bench = Bench(workspace, agent=Crew(), batch=ROUND)
    state = bench.run(attempts=6)
    second = [attempt for attempt in state.attempts.values() if attempt.round == 2]
    assert len(second) == 3
    assert {attempt.lineage for attempt in second} == {
        row["id"] for row in state.rounds[0]["lineages"]["lineages"]
    }
    first = {attempt.direction for attempt in state.attempts.values() if attempt.round == 1}
    assert not first & {attempt.direction for attempt in second}
    bench.assert_clean()


def test_the_tuner_knows_its_siblings(workspace: Workspace) -> None:
    agent = LeasedAgent(TunerAgent(), NO_LEASE)  # as a launch wraps it
    bench = Bench(workspace, agent=agent, batch=Batch(variants=3, lineages=1, workers=3))
    state = bench.run(attempts=3)
    tried = [attempt.tunables["block"] for attempt in state.decided]
    assert sorted(tried) == [16, 32, 64]
    assert state.champion_us == 60.0


def test_a_round_that_is_killed_anywhere_ends_as_if_it_was_not(workspace: Workspace, tmp_path: Path) -> None:
    pristine = Path(shutil.copytree(workspace.root, tmp_path / "pristine"))
    batch = Batch(variants=2, lineages=2, workers=1)
    count = 0

    def counted(event: Event) -> None:
        nonlocal count
        count += 1

    whole = Bench(workspace, agent=Crew(), batch=batch)
    whole.run(attempts=4, on_event=counted)
    end = workspace.git("rev-parse", f"{BRANCH}:{VARIANT}")
    for cut in range(3, count, 10):
        bench = Bench(
            Workspace(Path(shutil.copytree(pristine, tmp_path / f"cut-{cut}"))), agent=Crew(), batch=batch
        )
        with contextlib.suppress(Killed):
            bench.run(attempts=4, on_event=killed_at(cut))
        state = bench.run(attempts=4)
        attempts = [receipt["attempt"] for receipt in ReceiptBook(bench.folder / "receipts.jsonl").all()]
        assert len(set(attempts)) == len(attempts), cut
        assert not state.queue, cut
        assert state.champion == bench.workspace.git("rev-parse", BRANCH).strip(), cut
        assert all(each.phase in ("recorded", "abandoned") for each in state.attempts.values()), cut
        if not any(each.phase == "abandoned" for each in state.attempts.values()):
            assert bench.workspace.git("rev-parse", f"{BRANCH}:{VARIANT}") == end, cut
        bench.assert_clean()


class Guarded(FakeJudge):
    """A judge that may only be open while the device is its own."""

    mine = False

    def __enter__(self) -> "Guarded":
        assert Guarded.mine
        return self

    def __exit__(self, *error: object) -> None:
        assert Guarded.mine


def test_a_judge_that_measures_has_the_leased_device_to_itself(workspace: Workspace) -> None:
    bench = Bench(workspace, block(16), block(32), target=parse_target("cpu:device"))
    bench.open_judge = lambda problem: Guarded(problem, bench.asked)
    takers = []

    @contextlib.contextmanager
    def take(who: str) -> Iterator[None]:
        takers.append(who)
        Guarded.mine = True
        try:
            yield
        finally:
            Guarded.mine = False

    climb = bench.climb(2)
    climb.take_device = take
    climb.run()
    assert bench.decisions() == ["kept", "kept"]
    assert set(takers) == {"the judge"}
    assert len(takers) >= 3
