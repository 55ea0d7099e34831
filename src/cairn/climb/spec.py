"""What to climb, how far, and what to do about trouble: the whole of a launch as data."""

from dataclasses import dataclass, field
from pathlib import Path

from cairn.climb.directives import Directive
from cairn.climb.policy import Margins
from cairn.process import Limits
from cairn.roofline import Target

FAIL, COUNT, CONTINUE = "fail", "count-failure", "continue"
POLICIES = (FAIL, COUNT, CONTINUE)
DIRTY = ("worktree", "stash", "fail", "allow")
_SIX_HOURS_S = 6 * 3600.0


@dataclass(frozen=True)
class Budgets:
    """Where a climb ends besides its attempts; None and infinity mean no such limit.

    Args:
        wall_s: wall clock of this launch; the agent's own limit never reaches beyond it.
        tokens, cost_usd: over all launches; the next attempt is not begun when its like would not fit any more.
        device_s: seconds of judging on a device, over all launches.
        stall: decided attempts in a row without a new champion.
        plateau: share of the target floor that is near enough, e.g. 0.95.
        max_failures: failures that may be counted; one more ends the climb. -1: any number.
        wait_s: how long a rate limit may be waited for, each time.
    """

    wall_s: float = float("inf")
    tokens: int | None = None
    cost_usd: float | None = None
    device_s: float | None = None
    stall: int | None = None
    plateau: float | None = None
    max_failures: int = -1
    wait_s: float = _SIX_HOURS_S


@dataclass(frozen=True)
class Sync:
    """Merging of a main branch into the champion: `off`, `once` or `each-iteration`; `on_conflict`: fail or skip."""

    when: str = "off"
    remote: str = "origin"
    branch: str = "main"
    on_conflict: str = FAIL


@dataclass(frozen=True)
class PostChecks:
    """Shell commands that a winner must pass in a checkout of its own before it becomes the champion."""

    commands: tuple[str, ...] = ()
    policy: str = COUNT
    retries: int = 0
    limits: Limits = field(default_factory=lambda: Limits(wall_s=1800.0, max_output_bytes=16 * 2**20))


@dataclass(frozen=True)
class Batch:
    """A round: `variants` attempts side by side in at most `lineages` lines of descent, `workers` at a time."""

    variants: int = 1
    lineages: int = 1
    workers: int = 2


@dataclass(frozen=True)
class ClimbSpec:
    """What to climb and how far.

    Args:
        problem: path of the problem's folder in the user's tree.
        folder: the run's own folder (ledger, receipts, logs, worktrees).
        attempts: decided attempts over all launches after which it ends.
        learnings: the project's AGENT.md, which need not exist.
        dirty: what to do about the user's uncommitted changes, one of `DIRTY`.
        no_commit: what an attempt without any change means, one of `POLICIES`.
        resilient: agents may fail for as long as the budgets last.
        pause_s: between attempts.
        directives: further instructions for the agent, in order.
        template: a prompt file instead of the built-in one.
        trusted: further folders that no agent may write to, as the libraries of the judge's interpreter.
        profile_brief: whether the prompt says where the champion spends its time.
    """

    name: str
    problem: Path
    variant: str
    target: Target
    folder: Path
    attempts: int
    margins: Margins
    agent_limits: Limits
    learnings: Path
    wall_s: float = float("inf")
    branch_prefix: str = field(default="cairn/")
    budgets: Budgets = Budgets()
    sync: Sync = Sync()
    checks: PostChecks = PostChecks()
    batch: Batch | None = None
    dirty: str = "worktree"
    no_commit: str = CONTINUE
    resilient: bool = False
    pause_s: float = 0.0
    directives: tuple[Directive, ...] = ()
    template: Path | None = None
    profile_brief: bool = True
    trusted: tuple[Path, ...] = ()

    @property
    def branch(self) -> str:
        return f"{self.branch_prefix}{self.name}"
