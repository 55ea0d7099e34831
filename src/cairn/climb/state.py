"""The state of a climb, folded from its ledger: there is no other copy that could disagree with it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cairn.climb.ledger import Event

# fields of an attempt that an event sets; they have the same names in the ledger
_EVENT_FIELDS = {
    "edited": ("status", "failure", "hypothesis", "blob", "tampered", "tunables"),
    "judged": ("receipt", "verdict", "reason", "predicted_us", "ratio"),
    "decided": ("decision", "commit"),
}


@dataclass
class Attempt:
    """One attempt as far as it got. `phase`: planned, edited, judging, judged, decided or abandoned."""

    id: str
    parent: str
    agent: str
    phase: str = "planned"
    hypothesis: str = ""
    status: str = ""
    failure: str = ""
    blob: str | None = None
    tampered: list[str] = field(default_factory=list)
    tunables: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""
    reason: str = ""
    receipt: str | None = None
    predicted_us: float | None = None
    ratio: float | None = None
    decision: str = ""
    commit: str | None = None


@dataclass
class State:
    """Where a climb stands."""

    settings: dict[str, Any] = field(default_factory=dict)
    base: str | None = None
    branch: str | None = None
    measured: dict[str, Any] | None = None
    champion: str | None = None
    champion_us: float | None = None
    champion_receipt: str | None = None
    champion_attempt: str | None = None
    attempts: dict[str, Attempt] = field(default_factory=dict)
    launches: int = 0
    ended: str | None = None

    @property
    def decided(self) -> list[Attempt]:
        """Attempts that are over, in order; one that a kill cut short is not among them."""
        return [attempt for attempt in self.attempts.values() if attempt.phase == "decided"]

    @property
    def open(self) -> Attempt | None:
        """The attempt that a kill left unfinished, if any."""
        return next((a for a in self.attempts.values() if a.phase not in ("decided", "abandoned")), None)

    def next_id(self) -> str:
        """An id that no attempt of any launch has had."""
        return f"a{len(self.attempts) + 1:04d}"


def fold(events: Iterable[Event]) -> State:
    """Replay a ledger."""
    state = State()
    for event in events:
        apply(state, event)
    return state


def apply(state: State, event: Event) -> None:
    """Add one event to a state."""
    kind = event["event"]
    if kind == "climb.started":
        state.settings = event["settings"]
        state.base = state.champion = event["base"]
        state.branch = event["branch"]
    elif kind == "climb.launched":
        state.launches += 1
        state.ended = None
    elif kind == "climb.measured":
        state.measured = event
        state.champion_us = event["champion"]["predicted_us"]
        state.champion_receipt = event["champion"]["receipt"]
    elif kind == "climb.ended":
        state.ended = event["reason"]
    elif kind == "attempt.planned":
        state.attempts[event["attempt"]] = Attempt(event["attempt"], event["parent"], event["agent"])
    else:
        _apply_to_attempt(state, state.attempts[event["attempt"]], kind.removeprefix("attempt."), event)


def _apply_to_attempt(state: State, attempt: Attempt, phase: str, event: Event) -> None:
    attempt.phase = phase
    for name in _EVENT_FIELDS.get(phase, ()):
        setattr(attempt, name, event[name])
    if phase == "decided" and attempt.commit is not None:
        state.champion = attempt.commit
        state.champion_us = attempt.predicted_us
        state.champion_receipt = attempt.receipt
        state.champion_attempt = attempt.id
