"""The ledger of a climb: every act announced before it happens and recorded after it, in one append-only file.

The writer has every line in memory. When somebody else shortens, rewrites or removes the file while a climb runs
(an agent without a fence can), the lines are put back, what was found is kept beside it, and a line says so.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cairn.climb.interrupts import Interrupts
from cairn.journal import SoleJournal

Event = dict[str, Any]

EVENTS: Mapping[str, str] = {
    "climb.started": "settings, base commit, branch",
    "climb.launched": "one per launch of the process: agent, model, budgets, fence",
    "climb.stashed": "the user's changes, put away by object id; `restored` when they are back",
    "climb.synced": "the main branch was merged into the champion, or why not",
    "climb.measured": "costs of baseline, start and champion, and where; once for each fingerprint",
    "place.opened": "one of several places is ready to judge: its fingerprint and the noise measured there",
    "place.lost": "a place does not answer and is tried again later, or is of no use to this climb (`for_good`)",
    "climb.waiting": "a pause: why, and until when",
    "climb.repaired": "somebody else changed the ledger, the receipts or the branch; it was put back",
    "round.started": "number, attempts and directions of a batch",
    "round.selected": "lineages after the round, and what was pruned",
    "attempt.planned": "id, parent commit, agent, lineage, round, direction",
    "attempt.editing": "the agent starts",
    "attempt.edited": "how the agent ended; the claim, the cost, the blob of the variant",
    "attempt.committed": "the edit as a commit that nothing collects, or why it is not judged",
    "attempt.judging": "the judge starts, and at which place",
    "attempt.blocked": "the judge could not finish; the edit is kept and judged again",
    "attempt.judged": "receipt, verdict, cost, the place and its host",
    "attempt.checking": "the post-checks start",
    "attempt.checked": "how each post-check ended",
    "attempt.deciding": "what becomes of it; the branch moves next",
    "attempt.decided": "kept (with its commit), discarded, ...",
    "attempt.recorded": "the log is written and the folder is tidy",
    "attempt.abandoned": "there is nothing to judge: a kill, a rate limit, a service that was down",
    "climb.confirmed": "the champion against the original baseline with fresh seeds: the number to quote",
    "climb.ended": "reason and exit code",
}


class Ledger:
    """Writes events with a number and a time; reads them back. The climb's lock guards the file."""

    def __init__(
        self,
        path: Path,
        on_event: Callable[[Event], None] = lambda event: None,
        interrupts: Interrupts | None = None,
    ) -> None:
        self.path = path
        self._journal = SoleJournal(path)
        self._on_event = on_event
        self._interrupts = interrupts or Interrupts()
        self.events: list[Event] = self._journal.records
        self.torn = self._journal.torn

    def write(self, event: str, **fields: Any) -> Event:
        """Append one event; it is on disk when this returns."""
        assert event in EVENTS, event
        with self._interrupts.shielded():
            found = self._journal.repair()
            told = [self._append("climb.repaired", {"what": "the ledger", "found": found})] if found else []
            told.append(self._append(event, fields))
        for entry in told:
            self._on_event(entry)
        return told[-1]

    def _append(self, event: str, fields: Mapping[str, Any]) -> Event:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry: Event = {"n": len(self.events) + 1, "time": now, "event": event, **fields}
        self._journal.append(entry)
        return entry
