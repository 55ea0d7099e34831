"""A climb's ledger as rows of a report: what every attempt was, how long it took, and whether it is alive now."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from cairn.climb.ledger import Event

_START_OF = {"edited": ("editing", "planned"), "judged": ("judging",)}


@dataclass
class Told:
    """Everything the ledger says about one attempt: the fields of its events together, and when each came."""

    fields: dict[str, Any] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)

    def seconds(self, to: str) -> float | None:
        """How long the step that ends with the event `to` took."""
        start = next((self.times[name] for name in _START_OF[to] if name in self.times), None)
        end = self.times.get(to)
        return seconds_between(start, end) if start and end else None


def told_of(events: Sequence[Event]) -> dict[str, Told]:
    """The attempts of a ledger, in the order in which they were planned."""
    found: dict[str, Told] = {}
    for event in events:
        name, kind = event.get("attempt"), str(event.get("event", ""))
        if isinstance(name, str) and kind.startswith("attempt."):
            told = found.setdefault(name, Told())
            told.times[kind.removeprefix("attempt.")] = str(event.get("time", ""))
            told.fields |= {key: value for key, value in event.items() if value not in (None, "")}
    return found


def seconds_between(start: str, end: str) -> float | None:
    """Seconds between two times of a ledger; None when one is no time."""
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


def active_seconds(events: Sequence[Event]) -> float:
    """Wall clock of all launches: from each launch to its last event."""
    total, start, last = 0.0, "", ""
    for event in events:
        if event.get("event") == "climb.launched":
            total += seconds_between(start, last) or 0.0 if start else 0.0
            start = str(event.get("time", ""))
        last = str(event.get("time", ""))
    return total + (seconds_between(start, last) or 0.0 if start else 0.0)


def is_running(folder: Path) -> bool:
    """Whether the process that owns a climb is alive on this machine."""
    owner = read_owner(folder)
    pid = owner.get("pid")
    return isinstance(pid, int) and owner.get("host") == os.uname().nodename and psutil.pid_exists(pid)


def read_owner(folder: Path) -> Mapping[str, Any]:
    """The note of the process that runs a climb; empty when none does."""
    try:
        found = json.loads((folder / "owner.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def phase_of(events: Sequence[Event]) -> str:
    """What a running climb does at this moment, from its last event."""
    if not events:
        return "starting"
    last = events[-1]
    kind, attempt = str(last.get("event", "")), str(last.get("attempt", ""))
    doing = {
        "climb.started": "preparing",
        "climb.launched": "pricing baseline, start and champion",
        "climb.stashed": "preparing",
        "climb.synced": "preparing",
        "climb.measured": "planning the next attempt",
        "climb.waiting": f"waiting: {last.get('why', 'a pause')}, until {last.get('until', 'it is over')}",
        "climb.confirmed": "confirmed the champion against the baseline",
        "round.started": f"round {last.get('round', '')}".strip(),
        "round.selected": "planning the next round",
        "attempt.editing": f"{attempt}: {last.get('agent', 'the agent')} edits",
        "attempt.committed": f"{attempt}: edited",
        "attempt.blocked": f"{attempt}: the judge could not finish",
        "attempt.checking": f"{attempt}: post-checks run",
        "attempt.checked": f"{attempt}: deciding",
        "attempt.deciding": f"{attempt}: deciding",
        "attempt.recorded": "planning the next attempt",
        "attempt.planned": f"{attempt}: {last.get('agent', 'the agent')} edits",
        "attempt.edited": f"{attempt}: edited",
        "attempt.judging": f"{attempt}: being judged",
        "attempt.judged": f"{attempt}: deciding",
        "attempt.decided": "planning the next attempt",
        "attempt.abandoned": "planning the next attempt",
        "climb.ended": "over",
    }
    return doing.get(kind, kind)
