"""A running climb, line by line, and a climb's state as plain data."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cairn.cli.tables import microseconds
from cairn.climb.costs import ratio_words
from cairn.climb.ends import ENDS
from cairn.climb.ledger import Event
from cairn.climb.occupancy import FleetUse
from cairn.climb.state import Attempt, State, anchor_us

Say = Callable[[str], None]


class StageLine:
    """Where a judgement is: one line that changes on a terminal, one line a stage elsewhere."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._live = sys.stderr.isatty()
        self._stage = ""

    def __call__(self, stage: str, text: str) -> None:
        """Told by the judge of each stage and of each step in it."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K    {stage} {text}")
            if stage == "frozen" and self._stage not in ("", "frozen"):
                sys.stderr.write("\r\x1b[K")  # the last look: leave a clean line for the verdict
            sys.stderr.flush()
        elif stage != self._stage:
            self._say(f"    {stage}")
        self._stage = stage


def tell(event: Event, say: Say) -> None:
    """One line of progress for each event that a person wants to hear of; ledgers of any version."""
    line = _TOLD.get(event["event"])
    text = line(event) if line else ""
    if text:
        say(text if event["event"].startswith("climb.ended") else f"  {text}")


def _measured(event: Event) -> str:
    kind = event.get("kind", "predicted")
    start, baseline = (
        f"{event[name]['variant']} {microseconds(anchor_us(event[name]))} us" for name in ("start", "baseline")
    )
    calibration = event.get("calibration") or {}
    noise = f"; false-keep bound {calibration['false_keep']:.1%}" if "false_keep" in calibration else ""
    return f"start: {start}; baseline: {baseline} (all {kind}){noise}"


def _edited(event: Event) -> str:
    failed = f"failed ({event['failure']}): {event['detail']}" if event.get("failure") else ""
    return f"{event['attempt']}: {failed or event['hypothesis'] or event['detail'] or event['status']}"


def _judged(event: Event) -> str:
    cost = ""
    for kind in ("predicted", "measured"):
        if event.get(f"{kind}_us"):
            cost = f", {microseconds(event[f'{kind}_us'])} us {kind}"
    if cost and event.get("ratios") and event.get("ratio"):
        cost += f", {ratio_words(event['ratio'], event['ratios'])} of its incumbent"
    return f"{event['attempt']}: {event['verdict']} ({event['reason']}){cost}"


def _decided(event: Event) -> str:
    commit = f" as {event['commit'][:12]}" if event["commit"] else ""
    why = f" ({event['why']})" if event.get("why") else ""
    return f"{event['attempt']}: {event['decision']}{commit}{why}"


def _confirmed(event: Event) -> str:
    if event["us"] is None:  # refused unpriced, such as a champion that is the baseline's program by now
        return f"champion against the original baseline: {event['verdict']}, no cost; receipt {event['receipt']}"
    times = f", baseline {microseconds(event['baseline_us'])} us" if event["baseline_us"] else ""
    us = microseconds(event["us"])
    if event.get("ratios") and event.get("ratio"):
        times += f", {ratio_words(event['ratio'], event['ratios'])} of it"
    return f"champion against the original baseline: {us} us {event['kind']}{times}; receipt {event['receipt']}"


_TOLD: dict[str, Callable[[Event], str]] = {
    "climb.measured": _measured,
    "climb.waiting": lambda event: f"waiting until {event['until']}: {event['why']}",
    "climb.synced": lambda event: (
        f"{event['remote']}/{event['branch']}: {event['problem'] or event['commit'] or 'in it'}"
    ),
    "climb.repaired": lambda event: f"put back: {event['what']} (was {event['found']})",
    "climb.confirmed": _confirmed,
    "climb.ended": lambda event: ": ".join(
        filter(None, ("climb ended", event["reason"], event.get("detail", "")))
    ),
    "place.opened": lambda event: f"{event['place']} is ready",
    "place.lost": lambda event: (
        f"{event['place']} {'is not used' if event['for_good'] else 'was lost'}: {event['why']}"
    ),
    "round.started": lambda event: f"round {event['round']}: {', '.join(event['directions'])}",
    "round.selected": lambda event: f"round {event['round']}: {len(event['lineages']['lineages'])} lineages live",
    "attempt.planned": lambda event: f"{event['attempt']}: editing with {event['agent']}",
    "attempt.edited": _edited,
    "attempt.blocked": lambda event: f"{event['attempt']}: the judge could not finish: {event['detail']}",
    "attempt.judged": _judged,
    "attempt.checked": lambda event: (
        f"{event['attempt']}: post-checks " + ", ".join(check["outcome"] for check in event["checks"])
    ),
    "attempt.decided": _decided,
    "attempt.abandoned": lambda event: f"{event['attempt']}: put aside: {event['reason']}",
}


def climb_view(state: State, ledger: Path, branch: str) -> dict[str, Any]:
    """What scripts get from `--json` and what the table is drawn from."""
    measured = state.measured or {}
    kind = measured.get("kind", "predicted")
    return {
        "name": state.settings.get("name"),
        "target": state.settings.get("target"),
        "branch": branch,
        "ledger": str(ledger),
        "ended": state.ended,
        "ended_means": ENDS[state.ended].meaning if state.ended in ENDS else None,
        "ended_detail": state.ended_detail,
        "waiting": state.waiting,
        "kind": kind,
        "baseline": measured.get("baseline"),
        "start": measured.get("start"),
        "floor_us": measured.get("floor_us"),
        "champion": {
            "commit": state.champion,
            "attempt": state.champion_attempt,
            f"{kind}_us": state.champion_us,
            **({"mean_us": state.champion_ranked_us} if "mean_us" in measured.get("champion", {}) else {}),
            "receipt": state.champion_receipt,
        },
        "confirmed": state.confirmed,
        "spent": vars(state.totals),
        "launches": state.launches,
        "lineages": state.lineages.get("lineages", []),
        "stash": state.stash,
        "attempts": [_attempt_view(attempt) for attempt in state.attempts.values()],
    }


def fleet_view(use: FleetUse) -> dict[str, Any]:
    """The places that judged, and the share of their time in which they did."""
    return {"places": [vars(place) for place in use.places.values()], "occupancy": use.occupancy}


def _attempt_view(attempt: Attempt) -> dict[str, Any]:
    cost = {} if attempt.measured_us is None else {"measured_us": attempt.measured_us}
    return {
        "id": attempt.id,
        "decision": attempt.decision or attempt.phase,
        "verdict": attempt.verdict,
        "reason": attempt.reason or attempt.refused or attempt.failure,
        "failure": attempt.failure,
        "predicted_us": attempt.predicted_us,
        **cost,
        "ratio": attempt.ratio,
        **({"ratios": attempt.ratios, "mean_us": attempt.mean_us} if attempt.ratios else {}),
        "tunables": attempt.tunables,
        "hypothesis": attempt.hypothesis,
        "receipt": attempt.receipt,
        "commit": attempt.commit,
        "place": attempt.place,
        "lineage": attempt.lineage,
        "round": attempt.round,
    }
