"""The state of a climb, folded from its ledger: there is no other copy that could disagree with it.

Everything that a page, a prompt or a decision needs is here under the names that the ledger uses. Ledgers of earlier
versions fold as well: what they did not record stays at its default.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cairn.climb.ledger import Event

_OVER = ("decided", "recorded")
_LARGEST_BATCH = 256  # a climb has never more than one batch open
# fields of an attempt that an event sets; they have the same names in the ledger
_EVENT_FIELDS = {
    "planned": ("agent", "parent", "lineage", "round", "variant", "direction", "epoch"),
    "judging": ("place",),
    "edited": (
        *("status", "hypothesis", "expected_effect", "evidence", "idea_class", "reject_if", "blob", "tampered"),
        *("tunables", "usage", "cost_usd", "cost_basis", "model", "agent_failure", "failure", "detail", "extra"),
        *("agent_s", "transcript", "likeness", "nodes", "signature"),
    ),
    "committed": ("candidate", "refused"),
    "blocked": ("detail",),
    "judged": (
        *("receipt", "verdict", "reason", "detail", "predicted_us", "measured_us", "ratio", "judge_s", "failure"),
        *("signature", "place", "host", "against", "comparable_us", "mean_us", "ratios"),
    ),
    "checked": ("checks",),
    "decided": ("decision", "commit", "why"),
    "abandoned": ("reason", "failure"),
}


@dataclass
class Attempt:
    """One attempt as far as it got.

    `phase`: planned, editing, edited, committed, judging, blocked, judged, checking, checked, deciding, decided,
    recorded or abandoned. `failure`: one of the classes of `failures.RULES`, or empty. `epoch`: counts environments
    and champions; what was tried in another epoch may be tried again. Seconds are of this attempt alone. `place`:
    where it was judged, `host` by that machine's own name; `against`: the commit whose variant it was judged beside.
    `comparable_us`: for another host than that of the anchors, what it would cost there by its ratio.
    `mean_us`, `ratios`: with several bench shapes, the mean cost over them and the ratio at each (`climb.costs`).
    """

    id: str
    parent: str = ""
    agent: str = ""
    phase: str = "planned"
    lineage: str | None = None
    round: int | None = None
    variant: str | None = None
    direction: str = ""
    epoch: str = ""
    model: str = ""
    status: str = ""
    hypothesis: str = ""
    expected_effect: str = ""
    evidence: str = ""
    idea_class: str = ""
    reject_if: str = ""
    usage: dict[str, int] | None = None
    cost_usd: float | None = None
    cost_basis: str = "unknown"
    failure: str = ""
    agent_failure: str = ""
    signature: str = ""
    detail: str = ""
    agent_s: float = 0.0
    judge_s: float = 0.0
    transcript: str | None = None
    blob: str | None = None
    candidate: str | None = None
    likeness: str = ""
    nodes: int | None = None
    tampered: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    tunables: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    blocked: int = 0
    checks: list[dict[str, Any]] = field(default_factory=list)
    verdict: str = ""
    reason: str = ""
    receipt: str | None = None
    predicted_us: float | None = None
    measured_us: float | None = None
    comparable_us: float | None = None
    mean_us: float | None = None
    ratios: list[float] = field(default_factory=list)
    ratio: float | None = None
    place: str = ""
    host: str = ""
    against: str = ""
    decision: str = ""
    why: str = ""
    commit: str | None = None
    started: str = ""
    ended: str = ""

    @property
    def cost_us(self) -> float | None:
        """Its cost in the climb's own kind, predicted or measured, on the scale of the anchors."""
        if self.comparable_us is not None:
            return self.comparable_us
        return self.predicted_us if self.predicted_us is not None else self.measured_us

    @property
    def ranked_us(self) -> float | None:
        """What attempts are compared by: the mean over several bench shapes, else the cost."""
        return self.mean_us if self.mean_us is not None and self.comparable_us is None else self.cost_us

    @property
    def tokens(self) -> int:
        usage = self.usage or {}
        return int(usage.get("input_tokens", 0)) + int(usage.get("output_tokens", 0))


@dataclass
class Totals:
    """What a climb has used, over all launches and also by attempts that were put aside."""

    tokens: int = 0
    cost_usd: float = 0.0
    cost_unknown: int = 0
    agent_s: float = 0.0
    judge_s: float = 0.0
    failures: int = 0


@dataclass
class State:
    """Where a climb stands."""

    settings: dict[str, Any] = field(default_factory=dict)
    base: str | None = None
    branch: str | None = None
    measured: dict[str, Any] | None = None
    champion: str | None = None
    champion_us: float | None = None
    champion_ranked_us: float | None = None
    champion_receipt: str | None = None
    champion_attempt: str | None = None
    attempts: dict[str, Attempt] = field(default_factory=dict)
    decided: list[Attempt] = field(default_factory=list)
    lineages: dict[str, Any] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    synced: dict[str, Any] | None = None
    confirmed: dict[str, Any] | None = None
    problem_at: str | None = None
    launch: dict[str, Any] = field(default_factory=dict)
    launches: int = 0
    decided_before: int = 0  # how many attempts were decided when the last launch began
    environments: int = 0
    calibrations: list[dict[str, Any]] = field(default_factory=list)
    waiting: dict[str, Any] | None = None
    stash: str | None = None
    totals: Totals = field(default_factory=Totals)
    ended: str | None = None
    ended_detail: str = ""

    @property
    def queue(self) -> list[Attempt]:
        """Attempts that are not finished, oldest first: queued ones and what a kill left behind."""
        late = list(self.attempts.values())[-_LARGEST_BATCH:]
        return [a for a in late if a.phase not in ("recorded", "abandoned") and not _old_style_end(a)]

    @property
    def open(self) -> Attempt | None:
        """The attempt that is under way, or that a kill left unfinished."""
        return next((attempt for attempt in self.queue if attempt.phase != "decided"), None)

    @property
    def original(self) -> dict[str, Any]:
        """The baseline's anchor: what every claim is compared with in the end."""
        assert self.measured is not None
        return dict(self.measured["baseline"])

    def calibration_at(self, fingerprint: dict[str, Any]) -> dict[str, Any] | None:
        """The newest calibration of a place with this fingerprint; None where there is none or needs none."""
        events = (event for event in reversed(self.calibrations) if event["fingerprint"] == fingerprint)
        return next((event["calibration"] for event in events), None)

    @property
    def epoch(self) -> str:
        """What an idea's fate depends on besides itself: the champion and the environment."""
        return f"{self.environments}:{self.champion}"

    def next_id(self) -> str:
        """An id that no attempt of any launch has had."""
        return f"a{len(self.attempts) + 1:04d}"


def _old_style_end(attempt: Attempt) -> bool:
    """Earlier versions ended with the decision, and had no epoch; nothing is left to do for such an attempt."""
    return attempt.phase == "decided" and not attempt.epoch


def fold(events: Iterable[Event]) -> State:
    """Replay a ledger."""
    state = State()
    for event in events:
        apply(state, event)
    return state


def apply(state: State, event: Event) -> None:
    """Add one event to a state; events that this version does not know change nothing."""
    kind = event["event"]
    if kind.startswith("attempt."):
        _apply_to_attempt(state, kind.removeprefix("attempt."), event)
    elif (act := _ACTS.get(kind)) is not None:
        act(state, event)
    if kind != "climb.waiting":
        state.waiting = None


def _started(state: State, event: Event) -> None:
    state.settings = event["settings"]
    state.base = state.champion = state.problem_at = event["base"]
    state.branch = event["branch"]


def _launched(state: State, event: Event) -> None:
    state.launches += 1
    state.launch = event
    state.decided_before = len(state.decided)
    state.ended, state.ended_detail = None, ""


def _measured(state: State, event: Event) -> None:
    state.measured = event
    _calibrated(state, event)
    state.environments += 1
    state.champion_us = anchor_us(event["champion"])
    state.champion_ranked_us = ranked_anchor_us(event["champion"])
    state.champion_receipt = event["champion"]["receipt"]


def _calibrated(state: State, event: Event) -> None:
    if event.get("calibration"):
        state.calibrations.append(event)


def _synced(state: State, event: Event) -> None:
    state.synced = event
    if event.get("commit"):
        state.champion = state.problem_at = event["commit"]


def _ended(state: State, event: Event) -> None:
    state.ended, state.ended_detail = event["reason"], event.get("detail", "")


def _selected(state: State, event: Event) -> None:
    state.lineages = event["lineages"]
    state.rounds.append(event)


def _waiting(state: State, event: Event) -> None:
    state.waiting = event


def _confirmed(state: State, event: Event) -> None:
    state.confirmed = event


def _stashed(state: State, event: Event) -> None:
    state.stash = None if event.get("restored") else event["stash"]


_ACTS = {
    "climb.started": _started,
    "climb.launched": _launched,
    "climb.measured": _measured,
    "climb.synced": _synced,
    "place.opened": _calibrated,
    "climb.ended": _ended,
    "climb.waiting": _waiting,
    "climb.stashed": _stashed,
    "climb.confirmed": _confirmed,
    "round.selected": _selected,
}


def anchor_us(anchor: dict[str, Any]) -> float | None:
    """An anchor's cost, predicted or measured; a record has one of them."""
    value = anchor.get("predicted_us")
    return anchor.get("measured_us") if value is None else value


def ranked_anchor_us(anchor: dict[str, Any]) -> float | None:
    """An anchor's cost over all bench shapes, to compare attempts with."""
    mean = anchor.get("mean_us")
    return anchor_us(anchor) if mean is None else mean


def _apply_to_attempt(state: State, phase: str, event: Event) -> None:
    name = event["attempt"]
    attempt = state.attempts.setdefault(name, Attempt(name))
    if phase == "decided" and attempt.phase not in _OVER:
        state.decided.append(attempt)
    attempt.phase = phase
    for key in _EVENT_FIELDS.get(phase, ()):
        if key in event:
            setattr(attempt, key, event[key])
    if (act := _ATTEMPT_ACTS.get(phase)) is not None:
        act(state, attempt, event)


def _planned(state: State, attempt: Attempt, event: Event) -> None:
    attempt.started = event["time"]


def _edited(state: State, attempt: Attempt, event: Event) -> None:
    if "agent_failure" not in event:  # an earlier version kept the agent's own word here
        attempt.agent_failure = attempt.failure
    _add_usage(state.totals, attempt)


def _blocked(state: State, attempt: Attempt, event: Event) -> None:
    attempt.blocked += 1


def _judged(state: State, attempt: Attempt, event: Event) -> None:
    state.totals.judge_s += attempt.judge_s


def _over(state: State, attempt: Attempt, event: Event) -> None:
    attempt.ended = event["time"]
    state.totals.failures += bool(event.get("counts"))
    if attempt.phase == "decided" and attempt.commit is not None:
        state.champion = attempt.commit
        state.champion_us = attempt.cost_us
        state.champion_ranked_us = attempt.ranked_us
        state.champion_receipt = attempt.receipt
        state.champion_attempt = attempt.id


_ATTEMPT_ACTS = {
    "planned": _planned,
    "edited": _edited,
    "blocked": _blocked,
    "judged": _judged,
    "decided": _over,
    "abandoned": _over,
}


def _add_usage(totals: Totals, attempt: Attempt) -> None:
    totals.agent_s += attempt.agent_s
    totals.tokens += attempt.tokens
    if attempt.cost_usd is not None:
        totals.cost_usd += attempt.cost_usd
    elif attempt.cost_basis != "free":
        totals.cost_unknown += 1
