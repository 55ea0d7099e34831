"""A ledger as it grows: whole lines only, read from where the last look ended."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from cairn.cli.report_events import is_running
from cairn.climb.ledger import Event

_CHUNK_BYTES = 8 * 2**20


@dataclass
class Follower:
    """Follows one climb's folder. `events` grows with each look; a line that is still being written waits."""

    folder: Path
    ledger: Path
    events: list[Event] = field(default_factory=list)
    unreadable: int = 0
    _offset: int = 0
    _rest: bytes = b""

    def look(self) -> list[Event]:
        """The events that came since the last look; all of them once more when the file was replaced."""
        try:
            size = self.ledger.stat().st_size
        except FileNotFoundError:
            return []
        if size < self._offset:
            self._offset, self._rest = 0, b""
            self.events.clear()
        new: list[Event] = []
        with self.ledger.open("rb") as file:
            file.seek(self._offset)
            while data := file.read(_CHUNK_BYTES):
                self._offset += len(data)
                *lines, self._rest = (self._rest + data).split(b"\n")
                new += [event for line in lines if (event := self._parse(line)) is not None]
        self.events += new
        return new

    def _parse(self, line: bytes) -> Event | None:
        if not line.strip():
            return None
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "event" not in event:
            self.unreadable += 1
            return None
        return event

    @property
    def ended(self) -> str | None:
        """Why the last launch ended; None while none has, or a later one goes on."""
        for event in reversed(self.events):
            if event["event"] == "climb.ended":
                return str(event.get("reason", ""))
            if event["event"] == "climb.launched":
                return None
        return None

    @property
    def running(self) -> bool:
        """Whether the climb's process is alive on this machine."""
        return is_running(self.folder)
