"""A climb's ledger as points of a tracker, and the feeding of a tracker from it, once or as the ledger grows."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cairn.cli.progress import tell
from cairn.cli.report_find import LEDGER, RECEIPTS
from cairn.climb.ends import share_of_floor
from cairn.climb.ledger import Event
from cairn.climb.state import Attempt, State, anchor_us, apply
from cairn.errors import BadInput, Missing
from cairn.journal import Journal
from cairn.judge.receipt import ReceiptBook
from cairn.text.redact import redact
from cairn.track.catalogue import open_sink
from cairn.track.feed import Feeder, Progress
from cairn.track.points import Point, Run
from cairn.track.specs import SinkSpec

FOLDER = "track"
_LOOK_S = 1.0
_SETTINGS = ("problem", "variant", "target", "agent", "branch", "base", "fence")


class LedgerPoints:
    """Reads a ledger as it grows; every line becomes one point, numbered as in the ledger."""

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder / LEDGER)
        self._receipts = ReceiptBook(folder / RECEIPTS)
        self._events: list[Event] = []
        self._offset = 0
        self._told = 0
        self.state = State()

    def read(self) -> Iterator[Point]:
        """The points that are new since the last call.

        Raises:
            BadInput: the ledger cannot be read.
        """
        self._offset = self._journal.read_on(self._events, self._offset)
        while self._told < len(self._events):
            event = self._events[self._told]
            apply(self.state, event)
            self._told += 1
            yield self._point(event)

    def run(self, folder: Path) -> Run:
        """The climb as a run; `folder` is for files of trackers.

        Raises:
            BadInput: the ledger does not begin with a climb.
        """
        first = self._events[0] if self._events else {}
        if first.get("event") != "climb.started":
            raise BadInput("does not begin with climb.started", path=self._journal.path, line=1)
        identity = hashlib.sha256(json.dumps(first, sort_keys=True).encode()).hexdigest()[:10]
        told = {**first["settings"], **self.state.launch, "branch": self.state.branch, "base": self.state.base}
        settings = {name: str(told[name]) for name in _SETTINGS if told.get(name)}
        return Run(str(first["settings"]["name"]), identity, settings, folder)

    def _point(self, event: Event) -> Point:
        notes: list[str] = []
        tell(event, notes.append)
        found = [self._receipts.find(id=each) for each in _receipt_ids(event)]
        return Point(
            n=int(event["n"]),
            time_s=datetime.fromisoformat(event["time"]).timestamp(),
            metrics=metrics_of(self.state, event),
            note=redact(" ".join(notes).strip())[0],
            receipts=[json.loads(redact(json.dumps(receipt))[0]) for receipt in found if receipt],
        )


def _receipt_ids(event: Event) -> list[str]:
    """The receipts that a line names: its own, or those of the anchors that were priced."""
    holders = (event, *(event.get(name) or {} for name in ("baseline", "start", "champion")))
    named = [each["receipt"] for each in holders if isinstance(each, dict) and each.get("receipt")]
    return list(dict.fromkeys(named))


def metrics_of(state: State, event: Event) -> dict[str, float]:
    """The numbers of one line, after the state has it; what is unknown is left out."""
    kind = event["event"]
    if kind == "climb.measured":
        found = {
            "climb/baseline_us": anchor_us(event["baseline"]),
            "climb/start_us": anchor_us(event["start"]),
            "climb/floor_us": event.get("floor_us"),
            **_standing(state),
        }
    elif kind == "climb.confirmed":
        found = {"climb/confirmed_us": event["us"], "climb/confirmed_ratio": event["ratio"]}
    elif kind in ("attempt.edited", "attempt.judged", "attempt.decided", "attempt.abandoned"):
        found = _attempt_metrics(state, kind.removeprefix("attempt."), state.attempts[event["attempt"]])
    else:
        found = {}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _attempt_metrics(state: State, phase: str, attempt: Attempt) -> dict[str, Any]:
    number = {"attempt/number": int(attempt.id.lstrip("a"))}
    if phase == "edited":
        usage = {f"attempt/{name}": value for name, value in (attempt.usage or {}).items()}
        return {**number, **usage, "attempt/agent_s": attempt.agent_s, "attempt/cost_usd": attempt.cost_usd}
    if phase == "judged":
        costs = {"attempt/predicted_us": attempt.predicted_us, "attempt/measured_us": attempt.measured_us}
        return {**number, **costs, "attempt/ratio": attempt.ratio, "attempt/judge_s": attempt.judge_s}
    decision = {"attempt/kept": attempt.commit is not None} if phase == "decided" else {}
    return {**number, **decision, **_standing(state)}


def _standing(state: State) -> dict[str, Any]:
    """Where the climb stands: the champion, and what was used so far."""
    totals, champion = state.totals, state.champion_us
    baseline = anchor_us(state.measured["baseline"]) if state.measured else None
    return {
        "climb/champion_us": champion,
        "climb/speedup": baseline / champion if baseline and champion else None,
        "climb/share_of_floor": share_of_floor(state) or None,
        "climb/attempts": len(state.decided),
        "climb/kept": sum(attempt.commit is not None for attempt in state.decided),
        "climb/failures": totals.failures,
        "climb/tokens": totals.tokens,
        "climb/cost_usd": totals.cost_usd,
        "climb/agent_s": totals.agent_s,
        "climb/judge_s": totals.judge_s,
    }


def summary_of(state: State, events: int) -> dict[str, str | float]:
    """A run's last words."""
    numbers = {name.removeprefix("climb/"): value for name, value in _standing(state).items() if value is not None}
    words = {"ended": state.ended or "", "champion": state.champion or "", "events": events}
    return {**numbers, **words}


def export(
    folder: Path,
    spec: SinkSpec,
    *,
    follow: bool = False,
    stopped: threading.Event | None = None,
    said: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Give a tracker every line of a climb's ledger that it has not got.

    Args:
        folder: the climb's folder.
        follow: go on until the climb ends, or, when there is a `stopped`, until that is set.

    Raises:
        Missing: no ledger. BadInput: it cannot be read. Unreachable: the tracker's service gave no answer.
    """
    points = LedgerPoints(folder)
    waiting = stopped or threading.Event()
    first = list(points.read())
    while follow and not first and not waiting.wait(_LOOK_S / 5):
        first = list(points.read())
    if not first:
        raise Missing(f"{folder / LEDGER} has no line", hint="name a climb that has begun")
    run = points.run(folder / FOLDER)
    progress = Progress.of(folder / FOLDER, spec, run.identity)
    sink = open_sink(spec, run, progress.read())
    feeder = Feeder(sink, progress, waiting.wait)
    said(f"{spec.text}: {sink.place}, from line {feeder.last + 1}")
    feeder.give(first)
    if follow:
        _follow(points, feeder, stopped)
    feeder.give(points.read())
    sink.close(summary_of(points.state, feeder.last))
    return {"tracker": spec.kind, "place": sink.place, "sent": feeder.sent, "last": feeder.last}


def _follow(points: LedgerPoints, feeder: Feeder, stopped: threading.Event | None) -> None:
    """Feed as the ledger grows; Ctrl-C ends the following, not the climb."""
    waiting = stopped or threading.Event()
    with contextlib.suppress(KeyboardInterrupt):
        while not waiting.wait(_LOOK_S) and (stopped is not None or points.state.ended is None):
            feeder.give(points.read())


def plain(found: Mapping[str, Any]) -> str:
    """One line about an export."""
    return f"{found['tracker']}: {found['sent']} lines sent, up to line {found['last']}; {found['place']}"
