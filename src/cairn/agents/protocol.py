"""What every coding agent is to the climb: a task in, an edited worktree and a short account out.

The account is a claim. It names a hypothesis; every number that decides comes from the judge.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from cairn.process import Limits

# Why an edit can fail. The climb has one rule for each; agents only say which it was.
FAILURES = {
    "agent_error": "the agent crashed, gave up or ended in a way that fits nothing else",
    "infra": "the service or the way to it is down: connection refused, server error, overloaded",
    "auth": "no key, a wrong one, or a login that ran out",
    "rate_limit": "too many requests or a usage limit; `retry_at` says until when, where that is known",
    "quota": "credit or quota is used up: waiting does not mend it",
    "settings": "the client refuses an option, a configuration file or the model's name",
    "context": "the conversation no longer fits the model",
    "timeout": "the wall clock limit of an edit",
    "idle": "no output for longer than the idle limit",
    "output": "more output than the limit",
    "disk": "no space left",
    "not_found": "the program, or its interpreter, is not there",
    "cancelled": "the climb was told to stop",
}


@dataclass(frozen=True)
class Trial:
    """One earlier attempt as the next one may know it.

    `cost_us`: over all bench shapes (their geometric mean); None when there was no valid number.
    """

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
        cancelled: asked a few times a second, from the thread that edits; true ends the edit at once.
        fence: gives the command line that runs a program behind a fence round the user's project (`cairn.fence`).
    """

    attempt: str
    workdir: Path
    variant: Path
    prompt: str
    log_dir: Path
    space: SearchSpace
    history: Sequence[Trial]
    limits: Limits
    cancelled: Callable[[], bool] = lambda: False
    fence: Callable[[Sequence[str]], list[str]] = list


@dataclass(frozen=True)
class Usage:
    """Tokens an edit took, as the client reported them.

    Tokens read from a cache and tokens written to one are among the input tokens; reasoning is among the output.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True)
class EditOutcome:
    """How an edit ended.

    Args:
        status: "edited" (there may be a change to judge), "nothing" (the agent chose not to change anything),
            "failed" (it crashed, hung or was refused) or "exhausted" (there is nothing left to try; the climb ends).
        hypothesis, expected_effect, evidence, idea_class, reject_if: the agent's claim; each may be empty, and
            nobody has checked any of it.
        reason: the class of a failure, one of `FAILURES`.
        detail: the failure in words.
        usage: tokens; None when the client did not say.
        retry_at: with `rate_limit`, when the limit is lifted (UTC); None when the client did not say.
        cost_usd: what the edit cost; None when that is unknown. Never a guess.
        cost_basis: where `cost_usd` comes from: "list price" (usage times `prices.yaml`), "client" (the client's
            own figure) or "free"; "subscription" and "unknown" go with None.
        model: the model as far as the client or the command line names it.
        transcript: what the client printed, for people and retrospectives.
    """

    status: Literal["edited", "nothing", "failed", "exhausted"]
    hypothesis: str = ""
    reason: str = ""
    detail: str = ""
    usage: Usage | None = None
    expected_effect: str = ""
    evidence: str = ""
    idea_class: str = ""
    reject_if: str = ""
    retry_at: datetime | None = None
    cost_usd: float | None = None
    cost_basis: str = "unknown"
    model: str = ""
    transcript: Path | None = None


class Agent(Protocol):
    """A coding agent. `name` goes into the ledger."""

    name: str

    def edit(self, task: EditTask) -> EditOutcome:
        """Edit `task.variant` inside `task.workdir`, within `task.limits`; never raises for an agent's failure."""
        ...
