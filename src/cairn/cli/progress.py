"""A running climb, line by line, and a climb's state as plain data."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cairn.cli.tables import microseconds
from cairn.climb.ledger import Event
from cairn.climb.state import State

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
    """One line of progress for each event that a person wants to hear of."""
    kind, attempt = event["event"], event.get("attempt", "")
    if kind == "climb.measured":
        start, baseline = event["start"], event["baseline"]
        text = f"{start['variant']} {microseconds(start['predicted_us'])} us"
        theirs = f"{baseline['variant']} {microseconds(baseline['predicted_us'])} us"
        say(f"  start: {text}; baseline: {theirs} (all predicted)")
    elif kind == "attempt.planned":
        say(f"  {attempt}: editing with {event['agent']}")
    elif kind == "attempt.edited":
        say(f"  {attempt}: {event['hypothesis'] or event['detail'] or event['status']}")
    elif kind == "attempt.judged":
        cost = f", {microseconds(event['predicted_us'])} us predicted" if event["predicted_us"] else ""
        say(f"  {attempt}: {event['verdict']} ({event['reason']}){cost}")
    elif kind == "attempt.decided":
        say(f"  {attempt}: {event['decision']}" + (f" as {event['commit'][:12]}" if event["commit"] else ""))
    elif kind == "climb.ended":
        say(f"climb ended: {event['reason']}")


def climb_view(state: State, ledger: Path, branch: str) -> dict[str, Any]:
    """What scripts get from `--json` and what the table is drawn from."""
    measured = state.measured or {}
    return {
        "name": state.settings.get("name"),
        "target": state.settings.get("target"),
        "branch": branch,
        "ledger": str(ledger),
        "ended": state.ended,
        "kind": "predicted",
        "baseline": measured.get("baseline"),
        "start": measured.get("start"),
        "floor_us": measured.get("floor_us"),
        "champion": {
            "commit": state.champion,
            "attempt": state.champion_attempt,
            "predicted_us": state.champion_us,
            "receipt": state.champion_receipt,
        },
        "attempts": [
            {
                "id": attempt.id,
                "decision": attempt.decision or attempt.phase,
                "verdict": attempt.verdict,
                "reason": attempt.reason or attempt.failure,
                "predicted_us": attempt.predicted_us,
                "tunables": attempt.tunables,
                "hypothesis": attempt.hypothesis,
                "receipt": attempt.receipt,
                "commit": attempt.commit,
            }
            for attempt in state.attempts.values()
        ],
    }
