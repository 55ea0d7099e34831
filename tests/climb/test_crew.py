"""Several places that judge at once: side by side, each calibrated, none of them needed, nothing judged twice."""

import contextlib
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from climbs import Bench, Killed, killed_at
from fakes import FakeJudge, block

from cairn.agents.protocol import EditOutcome, EditTask
from cairn.climb.ledger import Event
from cairn.climb.spec import Batch
from cairn.errors import Missing, TryAgain
from cairn.judge.receipt import ReceiptBook
from cairn.problem import Problem
from cairn.roofline import parse_target
from cairn.worker_process import WorkerFailure, WorkerProcess
from workspace import Workspace

SIZES = (16, 32, 64, 16)


class Editor:
    """Sets a block size by the attempt's number, in a text of its own."""

    name = "editor"

    def edit(self, task: EditTask) -> EditOutcome:
        number = int(task.attempt[1:])
        block(SIZES[number % 4])(task)
        task.variant.write_text(task.variant.read_text() + f"\nN{number} = {number}\n")
        return EditOutcome("edited", hypothesis=f"try {number}")


class Fleet:
    """Judges by place; `act` is called with the place before each judgement of a candidate."""

    def __init__(self, bench: Bench, *places: str) -> None:
        self.bench = bench
        self.opened: list[str] = []
        self.calibrated: list[str] = []
        self.numbers: list[int] = []
        self.jax = dict.fromkeys(places, "0.10.2")
        self.act: Any = lambda place: None
        bench.judges = {place: self._opener(place) for place in places}

    def _opener(self, place: str) -> Any:
        fleet = self

        class Judge(FakeJudge):
            def fingerprint(self) -> dict[str, Any]:
                return {"host": place, "jax": fleet.jax[place]}

            def calibrate(self) -> Any:
                fleet.calibrated.append(place)
                return None

            def judge(self, *arguments: Any, **named: Any) -> Any:
                if "number" in named:
                    fleet.numbers.append(named["number"])
                    fleet.act(place)
                return super().judge(*arguments, **named)

        def opened(problem: Problem) -> Judge:
            fleet.opened.append(place)
            return Judge(problem, fleet.bench.asked)

        return opened


def a_round(workspace: Workspace, count: int = 4, **changes: Any) -> Bench:
    return Bench(workspace, agent=Editor(), batch=Batch(variants=count, lineages=1, workers=2), **changes)


def assert_nothing_twice_or_lost(bench: Bench, count: int) -> None:
    attempts = [each for each in bench.judged() if each.startswith("a")]
    assert len(attempts) == len(set(attempts)) == count
    assert not ReceiptBook(bench.folder / "receipts.jsonl").broken_links()


def test_a_round_is_judged_side_by_side(workspace: Workspace) -> None:
    bench = a_round(workspace)
    fleet = Fleet(bench, "a", "b")
    meet = threading.Barrier(2)
    fleet.act = lambda place: meet.wait(timeout=60)  # broken unless two are under way at once
    state = bench.run(attempts=4)
    assert state.ended == "attempts_done"
    assert bench.decisions().count("kept") == 1
    assert state.champion_us == 60.0
    assert {event["place"] for event in bench.events("attempt.judged")} == {"a", "b"}
    assert [event["host"] for event in bench.events("attempt.judged")] == [
        event["place"] for event in bench.events("attempt.judged")
    ]
    assert sorted(fleet.numbers) == [1, 2, 3, 4]  # each has a share of the error rate of its own
    assert sorted(fleet.opened) == ["a", "b"]  # and stays open
    assert set(fleet.calibrated) == {"a", "b"}
    assert_nothing_twice_or_lost(bench, 4)
    bench.assert_clean()


def test_a_lost_place_keeps_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.climb.crew.pause_s", lambda times: 0.01)
    bench = a_round(workspace)
    fleet = Fleet(bench, "a", "b")
    losses, lost_once = ["b", "b"], threading.Event()

    def lose(place: str) -> None:
        if place in losses:
            losses.remove(place)
            lost_once.set()
            raise TryAgain(f"{place} was lost")
        lost_once.wait(timeout=60)  # the other one would have done it all before this place is open

    fleet.act = lose
    bench.run(attempts=4)
    lost = bench.events("attempt.blocked")
    assert [event["place"] for event in lost] == ["b"] * len(lost)
    assert lost
    assert [event["place"] for event in bench.events("place.lost")] == ["b"] * len(lost)
    assert_nothing_twice_or_lost(bench, 4)


def test_when_all_places_are_lost_the_queue_waits(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cairn.climb.crew.pause_s", lambda times: 60.0)
    monkeypatch.setattr("cairn.climb.bench.pause_s", lambda times: 0.01)
    bench = a_round(workspace)
    fleet = Fleet(bench, "a", "b")

    def lose(place: str) -> None:
        raise TryAgain(f"{place} was lost")

    fleet.act = lose
    state = bench.run(attempts=4)
    assert state.ended == "judge_infra"
    assert len(state.queue) == 4
    fleet.act = lambda place: None
    assert bench.run(attempts=4).ended == "attempts_done"
    assert_nothing_twice_or_lost(bench, 4)
    assert [event["round"] for event in bench.events("round.selected")] == [1]
    bench.assert_clean()


def test_a_place_of_another_kind_is_not_used(workspace: Workspace) -> None:
    bench = a_round(workspace)
    fleet = Fleet(bench, "a", "b")
    fleet.jax["b"] = "0.4.0"
    bench.run(attempts=4)
    (lost,) = bench.events("place.lost")
    assert lost["for_good"]
    assert "jax 0.4.0, not 0.10.2" in lost["why"]
    assert {event["place"] for event in bench.events("attempt.judged")} == {"a"}


def test_a_place_without_what_it_needs_is_left_out(workspace: Workspace) -> None:
    bench = a_round(workspace)
    Fleet(bench, "a", "b")

    def broken(problem: Problem) -> Any:
        raise Missing("no device of platform tpu")

    bench.judges["b"] = broken
    assert bench.run(attempts=4).ended == "attempts_done"
    assert [event["for_good"] for event in bench.events("place.lost")] == [True]


def test_nobody_waits_for_a_place_that_opens_slowly(workspace: Workspace) -> None:
    bench = a_round(workspace)
    Fleet(bench, "a", "b")
    opens, quick = threading.Event(), bench.judges["b"]
    judged = 0

    def slow(problem: Problem) -> Any:
        assert opens.wait(timeout=60), "an attempt waited for it"
        return quick(problem)

    def on_event(event: Event) -> None:
        nonlocal judged
        judged += event["event"] == "attempt.judged"
        if judged == 4:
            opens.set()

    bench.judges["b"] = slow
    assert bench.run(4, on_event).ended == "attempts_done"
    assert {event["place"] for event in bench.events("attempt.judged")} == {"a"}


def test_a_fleet_that_is_killed_anywhere_loses_nothing(workspace: Workspace, tmp_path: Path) -> None:
    pristine = Path(shutil.copytree(workspace.root, tmp_path / "pristine"))
    for cut in (8, 13, 15, 17, 19, 22):
        bench = a_round(Workspace(Path(shutil.copytree(pristine, tmp_path / f"cut-{cut}"))), count=3)
        Fleet(bench, "a", "b")
        with contextlib.suppress(Killed):
            bench.run(attempts=3, on_event=killed_at(cut))
        state = bench.run(attempts=3)
        assert not state.queue, cut
        assert len(state.decided) == 3, cut
        decided = {attempt.id for attempt in state.decided if attempt.verdict}
        assert {each for each in bench.judged() if each.startswith("a")} == decided, cut
        assert_nothing_twice_or_lost(bench, 3)
        bench.assert_clean()


def test_only_the_best_of_a_timed_round_is_kept(workspace: Workspace) -> None:
    """All were timed beside the champion before it; that the second best beat that one is no reason to keep it."""
    bench = a_round(workspace, count=3, target=parse_target("cpu:device"))
    Fleet(bench, "a", "b")
    bench.run(attempts=3)
    assert sorted(bench.decisions()) == ["advanced", "advanced", "kept"]
    assert bench.state().champion_us == 60.0
    assert len(bench.commits()) == 1


@pytest.fixture
def hears_interrupts() -> Iterator[None]:
    """Below a `nohup` a process is deaf to them, and so would the climb be."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_interrupts")
def test_an_interrupt_ends_what_is_being_judged(workspace: Workspace, tmp_path: Path) -> None:
    """The workers are ended, not waited for; the next launch judges again."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)
    bench = a_round(workspace, count=2)
    fleet = Fleet(bench, "a", "b")
    busy = threading.Barrier(3)
    ends: list[str] = []

    def hang(place: str) -> None:
        with WorkerProcess(program, "timer") as worker:
            busy.wait(timeout=60)
            try:
                worker.ask({"op": "device"}, timeout_s=600)
            except WorkerFailure as failure:
                ends.append(failure.reason)
                raise

    fleet.act = hang
    begun = 0

    def interrupt(event: Event) -> None:
        nonlocal begun
        begun += event["event"] == "attempt.judging"
        if event["event"] == "attempt.judging" and begun == 2:
            threading.Thread(target=interrupt_main, args=(busy,)).start()

    with pytest.raises(KeyboardInterrupt):
        bench.run(attempts=2, on_event=interrupt)
    assert ends == ["killed", "killed"]
    assert bench.state().ended == "interrupted"
    fleet.act = lambda place: None
    assert bench.run(attempts=2).ended == "attempts_done"
    assert_nothing_twice_or_lost(bench, 2)


def interrupt_main(busy: threading.Barrier) -> None:
    """A Ctrl-C as soon as both places are busy."""
    busy.wait(timeout=60)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
