"""The ledger of a climb: every act announced before it happens and recorded after it, in one append-only file."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cairn.journal import Journal

Event = dict[str, Any]

EVENTS = (
    "climb.started",  # settings, base commit, branch
    "climb.launched",  # one per launch of the process
    "climb.measured",  # costs of baseline, start and champion; once for each fingerprint
    "attempt.planned",  # id, parent commit, agent
    "attempt.edited",  # how the agent ended; the blob of the variant
    "attempt.judging",
    "attempt.judged",  # receipt, verdict, cost
    "attempt.decided",  # kept (with its commit), discarded, ...
    "attempt.abandoned",  # a kill came before there was anything to judge
    "climb.ended",  # reason
)


class Ledger:
    """Writes events with a number and a time; reads them back. The climb's lock guards the file."""

    def __init__(self, path: Path, on_event: Callable[[Event], None] = lambda event: None) -> None:
        self.path = path
        self._journal = Journal(path)
        self._on_event = on_event
        read = self._journal.read()
        self.events: list[Event] = read.records
        self.torn = read.torn

    def write(self, event: str, **fields: Any) -> Event:
        """Append one event; it is on disk when this returns."""
        assert event in EVENTS, event
        entry: Event = {
            "n": len(self.events) + 1,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **fields,
        }
        self._journal.append(entry)
        self.events.append(entry)
        self._on_event(entry)
        return entry
