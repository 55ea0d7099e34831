"""Hands points to a tracker, each once: over kills, launches and services that are down for a while."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import Unreachable
from cairn.journal import write_atomic
from cairn.track.points import Point, Sink
from cairn.track.specs import SinkSpec

_BATCH = 200
_PAUSES_S = (5.0, 20.0, 60.0)


@dataclass(frozen=True)
class Progress:
    """The number of the last line that a tracker of a climb was given, in a file of the climb's folder."""

    path: Path
    identity: str

    @classmethod
    def of(cls, folder: Path, spec: SinkSpec, identity: str) -> "Progress":
        """The note for one tracker and place; another place is another note."""
        place = hashlib.sha256(spec.text.encode()).hexdigest()[:8]
        return cls(folder / f"{spec.kind}-{place}.json", identity)

    def read(self) -> int:
        """0 when nothing was noted, or for another climb of that name."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads(self.path.read_text(encoding="utf-8"))
            if noted["identity"] == self.identity:
                return max(0, int(noted["last"]))
        return 0

    def write(self, last: int, place: str) -> None:
        """Note that everything up to a line was handed over."""
        noted = {"identity": self.identity, "last": last, "place": place}
        write_atomic(self.path, json.dumps(noted) + "\n")


class Feeder:
    """Gives a sink what it has not got yet.

    Args:
        wait: sleeps, and gives True when nobody wants to wait any longer.
    """

    def __init__(self, sink: Sink, progress: Progress, wait: Callable[[float], bool] | None = None) -> None:
        self._sink = sink
        self._progress = progress
        self._wait = wait or _sleep
        self.last = sink.last
        self.sent = 0

    def give(self, points: Iterable[Point]) -> None:
        """Hand over every point after the last one.

        Raises:
            Unreachable: the service stayed away; what it has not got is given the next time.
        """
        batch: list[Point] = []
        for point in points:
            if point.n > self.last:
                batch.append(point)
            if len(batch) == _BATCH:
                self._hand_over(batch)
                batch = []
        if batch:
            self._hand_over(batch)

    def _hand_over(self, batch: Sequence[Point]) -> None:
        for pause_s in (*_PAUSES_S, None):
            try:
                self._sink.add(batch)
                break
            except Unreachable:
                if pause_s is None or self._wait(pause_s):
                    raise
        self.last = batch[-1].n
        self.sent += len(batch)
        self._progress.write(self.last, self._sink.place)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
