"""The rules of a climb: which margin counts, what becomes of a verdict, and when it is over."""

from dataclasses import dataclass

from cairn.climb.state import Attempt, State
from cairn.variant_text import differs_only_in_config

# failures of an agent that no further attempt can mend
_FATAL_AGENT_FAILURES = {"not_found", "auth"}
_FAILURES_IN_A_ROW = 3
_DECISIONS = {
    "KEEP": "kept",
    "DISCARD": "discarded",
    "INCONCLUSIVE": "inconclusive",
    "INVALID": "rejected",
    "CRASH": "crashed",
}


@dataclass(frozen=True)
class Margins:
    """Relative gains in predicted cost that count as real.

    Within a sweep of one kernel's tunables the model's errors mostly cancel; a rewritten kernel has no such luck.
    """

    sweep: float
    edit: float

    def between(self, champion: bytes, candidate: bytes) -> float:
        """The margin for a candidate's source against the champion's."""
        ours, theirs = (text.decode("utf-8", "replace") for text in (champion, candidate))
        return self.sweep if differs_only_in_config(ours, theirs) else self.edit


def decision_of(attempt: Attempt) -> str:
    """What becomes of an attempt: by its verdict, or by how its edit ended when there was nothing to judge."""
    if attempt.verdict:
        return _DECISIONS[attempt.verdict]
    if attempt.status == "edited":
        return "duplicate" if attempt.blob is not None else "nothing"
    return attempt.status


def reason_to_stop(state: State, attempts: int, wall_left_s: float) -> str | None:
    """Why the climb is over, or None to go on. `attempts` counts decided ones over all launches."""
    decided = state.decided
    if decided and decided[-1].status == "exhausted":
        return "search_space_exhausted"
    if decided and decided[-1].failure in _FATAL_AGENT_FAILURES:
        return f"agent_{decided[-1].failure}"
    tail = decided[-_FAILURES_IN_A_ROW:]
    if len(tail) == _FAILURES_IN_A_ROW and all(attempt.status == "failed" for attempt in tail):
        return "agent_keeps_failing"
    if len(decided) >= attempts:
        return "attempts_done"
    if wall_left_s <= 0:
        return "wall_clock"
    return None
