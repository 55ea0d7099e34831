"""From the state of a climb to the task that an agent gets."""

from collections.abc import Sequence
from pathlib import Path

from cairn.agents.protocol import EditTask, SearchSpace, Trial
from cairn.climb import prompt
from cairn.climb.desk import Desk
from cairn.climb.directions import direction_text
from cairn.climb.fencing import fence_round
from cairn.climb.memory import digest, last_error, matching_learnings
from cairn.climb.profile import profile_brief
from cairn.climb.state import Attempt, ranked_anchor_us
from cairn.problem import Problem
from cairn.process import Limits

_LEAST_S = 1.0


def task_for(
    desk: Desk, problem: Problem, attempt: Attempt, tree: Path, siblings: Sequence[Trial] = ()
) -> EditTask:
    """Write the prompt and bound the edit; `siblings` are other attempts of the same round, edited yet or not."""
    spec = desk.spec
    logs = desk.folder_of(attempt.id)
    tunables = problem.tunables.get(spec.variant)
    space = SearchSpace({})
    if tunables is not None:
        space = SearchSpace(tunables.space, tunables.constraints, problem.shapes.bench[0])
    history = [*history_of(desk), *(trial for trial in siblings if trial.tunables)]
    learnings = matching_learnings(spec.learnings, problem.name, spec.target.chip_name, last_error(desk.state))
    brief = prompt.Brief(
        problem,
        desk.variant_path,
        desk.state,
        space,
        parent=attempt.parent,
        iteration=len(desk.state.attempts),
        total=spec.attempts,
        digest="\n\n".join([digest(desk.state, learnings, profile_brief(desk)), _siblings(siblings)]),
    )
    own = direction_text(attempt.direction)
    directives = (*spec.directives, *([own] if own else []))
    text = prompt.render(brief, directives=directives, template=spec.template)
    desk.keep_file(attempt.id, "prompt.md", text.encode("utf-8", "replace"))
    temporary = spec.folder / "tmp"  # the agents' TMPDIR; emptied when no edit is under way
    temporary.mkdir(parents=True, exist_ok=True)
    bounds = spec.agent_limits
    left = max(_LEAST_S, desk.control.wall_left_s)
    return EditTask(
        attempt=attempt.id,
        workdir=tree,
        variant=tree / desk.variant_path,
        prompt=text,
        log_dir=logs,
        space=space,
        history=history,
        limits=Limits(min(bounds.wall_s, left), bounds.idle_s, bounds.max_output_bytes),
        cancelled=desk.control.cancelled,
        fence=fence_round(desk, [tree, logs, temporary]),
    )


def _siblings(trials: Sequence[Trial]) -> str:
    """What others of the same round try, so that this attempt takes another direction."""
    lines = [f"- {trial.attempt}: {trial.hypothesis or 'not stated'}" for trial in trials]
    if not lines:
        return ""
    head = "Others take these directions at this very moment; stay with your own."
    return "\n".join(["### Tried side by side in this round", "", head, "", *lines])


def history_of(desk: Desk) -> list[Trial]:
    """Every decided attempt as the next one may know it, after the start itself."""
    state = desk.state
    assert state.measured is not None
    start = ranked_anchor_us(state.measured["start"])
    trials = [Trial("start", _start_tunables(desk), "KEEP", "start", start, "where the climb began")]
    for attempt in state.decided:
        trials.append(trial_of(attempt))
    return trials


def trial_of(attempt: Attempt) -> Trial:
    """One attempt as others may know it."""
    reason = attempt.reason or attempt.failure or attempt.refused or attempt.status
    said = attempt.hypothesis or (f"direction `{attempt.direction}`" if attempt.direction else "")
    return Trial(attempt.id, attempt.tunables, attempt.verdict, reason, attempt.ranked_us, said)


def _start_tunables(desk: Desk) -> dict[str, object]:
    return desk.tunables(desk.committed(desk.state.base))
