"""A round: several attempts side by side, each with a direction of its own, judged together, the best kept.

    start    directions from one profile brief, spread over the living lineages; `strategy.md`
    edit     a bounded number of agents at a time, each in its own folder and process
    judge    side by side when there are several places, all before any is decided; `variants/*/eval_result.json`
    select   the best of each lineage lives on, the rest is pruned by name and reason; `lineages.json`

A round that a kill cut short is finished by the next launch: open attempts first, then the selection.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from cairn.agents.protocol import Agent, EditOutcome, EditTask
from cairn.agents.tuner import TunerAgent
from cairn.climb import run_files
from cairn.climb.desk import Desk
from cairn.climb.directions import directions_for, slug_of
from cairn.climb.phases import Phases
from cairn.climb.planning import trial_of
from cairn.climb.profile import profile_brief
from cairn.climb.state import Attempt

_POLL_S = 0.2
PutAside = Callable[[Attempt, EditOutcome], str | None]
Finish = Callable[[], str | None]


@dataclass(frozen=True)
class Lineage:
    """A living line of descent: its name and the commit that its next attempts begin from."""

    name: str
    commit: str


def run_round(desk: Desk, phases: Phases, agent: Agent, rest: tuple[PutAside, Finish]) -> str | None:
    """One round from its plan to its selection; the reason to end the climb, if there is one.

    Args:
        rest: what puts attempts aside that say nothing, and what takes the open ones to their end.
    """
    put_aside, finish_queue = rest
    select_finished(desk)
    attempts = _plan(desk, phases)
    reasons = []
    with contextlib.closing(_edited(desk, phases, agent, attempts)) as edits:
        for attempt, outcome, seconds in edits:
            phases.record_edit(attempt, outcome, seconds)
            reasons.append(put_aside(attempt, outcome))
    phases.finish([attempt for attempt in attempts if attempt.phase == "edited"])
    reasons.append(finish_queue())
    reason = next((each for each in reasons if each), None)
    if not any(attempt.phase == "blocked" for attempt in attempts):
        select_finished(desk)
    return reason


def _plan(desk: Desk, phases: Phases) -> list[Attempt]:
    batch, state = desk.spec.batch, desk.state
    assert batch is not None
    number = run_files.last_round(state) + 1
    lineages = living(desk)
    count = min(batch.variants, max(1, desk.spec.attempts - len(state.decided)))
    directions = directions_for(state, count)
    brief = profile_brief(desk)
    run_files.write_brief(desk, number, brief)
    desk.write("round.started", round=number, directions=directions)
    taken: set[str] = set()
    attempts = []
    for at, direction in enumerate(directions):
        # as many attempts for each lineage as for each other; while there are too few, some begin a new one
        slot = at % batch.lineages
        lineage = lineages[slot] if slot < len(lineages) else None
        variant = _named(lineage, direction, taken)
        fields: dict[str, Any] = {"round": number, "variant": variant, "direction": direction}
        if lineage is not None:
            fields["lineage"] = lineage.name
            if not desk.spec.target.measured:
                fields["parent"] = lineage.commit
        attempts.append(phases.plan(**fields))
    run_files.write_strategy(desk, number, attempts)
    return attempts


def _named(lineage: Lineage | None, direction: str, taken: set[str]) -> str:
    """A name for a variant: its lineage and its direction, with a number when two would share it."""
    base = slug_of(direction) if lineage is None else f"{lineage.name}_{slug_of(direction)}"
    name, count = base, 1
    while name in taken:
        count += 1
        name = f"{base}-{count}"
    taken.add(name)
    return name


def living(desk: Desk) -> list[Lineage]:
    """Active lineages, best first, whose commits are still there."""
    rows = [row for row in desk.state.lineages.get("lineages", ()) if row.get("commit")]
    rows.sort(key=lambda row: -float(row.get("best_speedup") or 0.0))
    return [Lineage(row["id"], row["commit"]) for row in rows if desk.git.commit_of(row["commit"])]


def _edited(
    desk: Desk, phases: Phases, agent: Agent, attempts: Sequence[Attempt]
) -> Generator[tuple[Attempt, EditOutcome, float]]:
    """Let agents work side by side; give each attempt as it is done.

    The tuner is quick and must see what its siblings took, so it goes one after the other.
    """
    if agent.name == TunerAgent.name:
        for at, attempt in enumerate(attempts):
            task = phases.prepare(attempt, [trial_of(each) for each in attempts[:at]])
            yield attempt, *phases.edit(task)
        return
    assert desk.spec.batch is not None
    trials = [trial_of(attempt) for attempt in attempts]
    tasks = [
        phases.prepare(attempt, [trial for trial in trials if trial.attempt != attempt.id]) for attempt in attempts
    ]
    with _pool(desk, desk.spec.batch.workers) as pool:
        running: dict[Future[tuple[EditOutcome, float]], Attempt] = {}
        for attempt, task in zip(attempts, tasks, strict=True):
            running[pool.submit(_edit_unless_over, phases, task)] = attempt
        while running:
            done, _ = wait(running, timeout=_POLL_S, return_when="FIRST_COMPLETED")
            for future in sorted(done, key=lambda each: running[each].id):
                yield running.pop(future), *future.result()


def _edit_unless_over(phases: Phases, task: EditTask) -> tuple[EditOutcome, float]:
    """Begin no edit that would be cancelled at once."""
    if task.cancelled():
        return EditOutcome("failed", reason="cancelled", detail="not begun: the climb is over"), 0.0
    return phases.edit(task)


@contextlib.contextmanager
def _pool(desk: Desk, workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose edits are told to end when the climb is interrupted."""
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="edit")
    finished = False
    try:
        yield pool
        finished = True
    finally:
        desk.control.told_to_end |= not finished
        pool.shutdown(wait=True, cancel_futures=True)


def select_finished(desk: Desk) -> None:
    """Select the last round if all its attempts are over and nobody has; a kill can fall before it."""
    number = run_files.last_round(desk.state)
    attempts = [each for each in desk.state.attempts.values() if each.round == number]
    if not attempts or any(each["round"] == number for each in desk.state.rounds):
        return
    if all(each.phase in ("recorded", "abandoned") for each in attempts):
        lineages, pruned = run_files.write_selection(desk, number, attempts)
        _keep_commits(desk, lineages, attempts)
        desk.write("round.selected", round=number, lineages=lineages, pruned=pruned)


def _keep_commits(desk: Desk, lineages: dict[str, Any], attempts: Sequence[Attempt]) -> None:
    """Name the commit of each lineage so that git keeps it, and let those of this round's others go."""
    for row in lineages["lineages"]:
        if row.get("commit"):
            desk.git.set_ref(f"refs/cairn/{desk.spec.name}/lineages/{row['id']}", row["commit"])
    for attempt in attempts:
        if attempt.candidate is not None:
            desk.git.delete_ref(desk.ref_of(attempt.id))
