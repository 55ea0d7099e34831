"""What every coding agent is to the climb: a task in, an edited worktree and a short account out.

The account is a claim. It names a hypothesis; every number that decides comes from the judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from cairn.process import Limits


@dataclass(frozen=True)
class Trial:
    """One earlier attempt as the next one may know it. `cost_us` is None when there was no valid number."""

    attempt: str
    tunables: Mapping[str, object]
    verdict: str
    reason: str
    cost_us: float | None
    hypothesis: str


@dataclass(frozen=True)
class SearchSpace:
    """The tunables of a variant: their choices, and constraints over them and the names of a bench shape."""

    choices: Mapping[str, Sequence[object]]
    constraints: Sequence[str] = ()
    names: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class EditTask:
    """What an agent is asked to do.

    Args:
        attempt: id, unique over all launches of the climb.
        workdir: the attempt's own git worktree, the only place to edit.
        variant: the file to make faster, inside `workdir`.
        prompt: the whole instruction.
        log_dir: an existing folder for transcripts, kept after the attempt.
        space: the declared tunables.
        history: earlier attempts, oldest first.
        limits: wall clock, idle and output limits of this one edit.
    """

    attempt: str
    workdir: Path
    variant: Path
    prompt: str
    log_dir: Path
    space: SearchSpace
    history: Sequence[Trial]
    limits: Limits


@dataclass(frozen=True)
class Usage:
    """Tokens an edit took, as the client reported them."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class EditOutcome:
    """How an edit ended.

    `status`: "edited" (there may be a change to judge), "nothing" (the agent chose not to change anything),
    "failed" (it crashed, hung or was refused; `reason` is a class such as `timeout`, `idle`, `rate_limit`, `auth`,
    `agent_error`, `not_found`) or "exhausted" (there is nothing left to try; the climb ends).
    """

    status: Literal["edited", "nothing", "failed", "exhausted"]
    hypothesis: str = ""
    reason: str = ""
    detail: str = ""
    usage: Usage | None = None


class Agent(Protocol):
    """A coding agent. `name` goes into the ledger."""

    name: str

    def edit(self, task: EditTask) -> EditOutcome:
        """Edit `task.variant` inside `task.workdir`, within `task.limits`; never raises for an agent's failure."""
        ...
