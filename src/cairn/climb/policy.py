"""The rules of the search: which margin counts, what becomes of a verdict, what may be tried again and when.

Neutral changes are discarded, because each makes the next reader's work harder, unless they make the kernel plainly
simpler: at least five percent and ten nodes fewer in its syntax tree, and not dearer than the champion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cairn.climb.failures import COMPILE, TIMEOUT, WRONG
from cairn.climb.state import Attempt, State
from cairn.variant_text import differs_only_in_config

_DECISIONS = {
    "KEEP": "kept",
    "DISCARD": "discarded",
    "INCONCLUSIVE": "inconclusive",
    "INVALID": "rejected",
    "CRASH": "crashed",
}
DECISIONS = (
    *_DECISIONS.values(),
    "duplicate",
    "refused",
    "nothing",
    "failed",
    "exhausted",
    "check_failed",
    "probe",
    "advanced",
)
NOT_DEARER = (
    -0.0005
)  # the margin of a simplification: predictions of equal programs are equal, so this is rounding
_SIMPLER_SHARE, _SIMPLER_NODES = 0.95, 10
LOW_IMPACT = 0.03
_LOSSES_TO_REST, _REST_ATTEMPTS, _WALL_REST_ATTEMPTS = 2, 3, 6
_ESCALATE_AFTER, _PIVOT_AFTER = 3, 6
_DETERMINISTIC = (COMPILE, WRONG, TIMEOUT)


@dataclass(frozen=True)
class Margins:
    """Relative gains in predicted cost that count as real; None on a device, whose noise decides.

    Within a sweep of one kernel's tunables the model's errors mostly cancel; a rewritten kernel has no such luck.
    """

    sweep: float | None
    edit: float | None

    def between(self, champion: bytes, candidate: bytes) -> float | None:
        """The margin for a candidate's source against the champion's."""
        ours, theirs = (text.decode("utf-8", "replace") for text in (champion, candidate))
        return self.sweep if differs_only_in_config(ours, theirs) else self.edit


def is_simpler(nodes: int | None, champion_nodes: int | None) -> bool:
    """Whether a source is plainly simpler than the champion's."""
    if nodes is None or champion_nodes is None:
        return False
    return nodes <= _SIMPLER_SHARE * champion_nodes and nodes <= champion_nodes - _SIMPLER_NODES


def decision_of(attempt: Attempt) -> str:
    """What becomes of an attempt: by its verdict, or by how its edit ended when there was nothing to judge."""
    if attempt.verdict == "KEEP":
        if is_probe(attempt):
            return "probe"
        if any(check["outcome"] != "passed" for check in attempt.checks):
            return "check_failed"
    if attempt.verdict:
        return _DECISIONS[attempt.verdict]
    if attempt.status == "edited":
        if attempt.failure:
            return "failed"
        if attempt.blob is None:
            return "nothing"
        return "duplicate" if attempt.refused.startswith("duplicate") else "refused"
    return attempt.status


def is_probe(attempt: Attempt) -> bool:
    """A run that is to find something out, by the agent's own word or the round's; it can never be promoted."""
    return attempt.idea_class.casefold().startswith("probe") or attempt.direction.casefold().startswith("probe")


def refusal(state: State, attempt: Attempt, parent_likeness: str) -> str:
    """Why an edit is not worth the judge's time, or empty: nothing new, or an idea that has to rest."""
    if attempt.likeness and attempt.likeness == parent_likeness:
        return "duplicate of its parent: only comments, names or layout differ"
    for earlier in state.decided:
        if earlier.verdict and _same_try(earlier, attempt):
            return f"duplicate of {earlier.id}: {earlier.verdict} ({earlier.reason})"
    rest = resting(state).get(_idea(attempt))
    return f"idea class `{attempt.idea_class}` rests for {rest} more attempts" if rest else ""


def _same_try(earlier: Attempt, attempt: Attempt) -> bool:
    if earlier.epoch and attempt.epoch:
        same_text = earlier.likeness == attempt.likeness if attempt.likeness else earlier.blob == attempt.blob
        return same_text and earlier.epoch == attempt.epoch
    return (earlier.blob, earlier.parent) == (attempt.blob, attempt.parent)


def resting(state: State) -> dict[str, int]:
    """Idea classes that may not be tried now, with the number of attempts that this still lasts.

    A class rests after two losses since the last champion, and longer after it met the same wall twice.
    """
    since = since_champion(state.decided)
    losses: dict[str, list[int]] = {}
    walls: dict[tuple[str, str], list[int]] = {}
    for at, attempt in enumerate(since):
        if not (idea := _idea(attempt)) or not attempt.verdict:
            continue
        losses.setdefault(idea, []).append(at)
        if attempt.failure in _DETERMINISTIC and attempt.signature:
            walls.setdefault((idea, attempt.signature), []).append(at)
    rest: dict[str, int] = {}
    for (idea, _), places in walls.items():
        if len(places) >= _LOSSES_TO_REST:
            rest[idea] = max(rest.get(idea, 0), places[-1] + 1 + _WALL_REST_ATTEMPTS - len(since))
    for idea, places in losses.items():
        if len(places) >= _LOSSES_TO_REST:
            rest[idea] = max(rest.get(idea, 0), places[-1] + 1 + _REST_ATTEMPTS - len(since))
    return {idea: left for idea, left in rest.items() if left > 0}


def _idea(attempt: Attempt) -> str:
    return attempt.idea_class.strip().casefold()


def since_champion(decided: Sequence[Attempt]) -> list[Attempt]:
    """Decided attempts after the last one that was kept."""
    for at in range(len(decided) - 1, -1, -1):
        if decided[at].commit is not None:
            return list(decided[at + 1 :])
    return list(decided)


def escalation(state: State) -> str:
    """What the next attempt has to do otherwise than the last ones; empty while things go well."""
    since = since_champion(state.decided)
    judged = [attempt for attempt in since if attempt.verdict]
    if len(judged) >= _PIVOT_AFTER:
        return (
            f"{len(judged)} judged attempts since the last gain. Pivot: leave the present structure, look at the "
            "profile again and change what the kernel spends its time on."
        )
    last = next((attempt for attempt in reversed(state.decided) if attempt.commit is not None), None)
    low = last is not None and last.ratio is not None and last.ratio > 1 - LOW_IMPACT
    if len(judged) >= _ESCALATE_AFTER or (low and not since):
        why = f"{len(judged)} judged attempts without a gain" if judged else "the last gain was below 3 %"
        return (
            f"Escalate: {why}. The next change has to be structural; no numbers alone, no variation of the last."
        )
    return ""


def walls(state: State) -> dict[str, list[Attempt]]:
    """Failures that were met more than once, by signature: their retry budget is used up."""
    found: dict[str, list[Attempt]] = {}
    for attempt in state.decided:
        if attempt.failure in _DETERMINISTIC and attempt.signature:
            found.setdefault(attempt.signature, []).append(attempt)
    return {signature: attempts for signature, attempts in found.items() if len(attempts) > 1}
