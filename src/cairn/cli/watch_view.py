"""A running climb for a terminal: where it is, what it does, what it found, what it has left, what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cairn.cli.report_events import active_seconds, phase_of, seconds_between, told_of
from cairn.cli.watch_follow import Follower
from cairn.climb.ledger import Event
from cairn.climb.state import State, fold
from cairn.report import words
from cairn.report.inert import one_line

STYLES = {
    "KEEP": "bold green",
    "DISCARD": "blue",
    "INCONCLUSIVE": "yellow",
    "INVALID": "bold red",
    "CRASH": "magenta",
}
_STREAM, _KEPT_ROWS, _BAR = 8, 50, 40
_SILENT_S = 900.0
_FAILURES_IN_A_ROW = 2


@dataclass(frozen=True)
class Standing:
    """What a look at a climb shows, as plain data.

    Costs in microseconds of the climb's own kind. `stream`: the last attempts, each with all that its events say.
    """

    name: str
    target: str
    kind: str
    state: str
    phase: str
    phase_s: float | None
    done: int
    limit: int | None
    verdicts: dict[str, int]
    champion: str
    champion_us: float | None
    baseline_us: float | None
    floor_us: float | None
    wall_s: float
    tokens: int
    cost_usd: float | None
    alerts: list[str]
    stream: list[dict[str, Any]]


def standing(follower: Follower, now: datetime | None = None) -> Standing:
    """Where a climb stands by its ledger, and by whether its process is alive."""
    events, running = follower.events, follower.running
    state = fold(events)
    measured = state.measured or {}
    kind = str(measured.get("kind") or "predicted")
    time = (now or datetime.now(UTC)).isoformat()
    since = seconds_between(str(events[-1].get("time", "")), time) if events else None
    launch = next((each for each in reversed(events) if each["event"] == "climb.launched"), {})
    ended = follower.ended
    stream = _stream(events)
    costs = [float(each["cost_usd"]) for each in stream if isinstance(each.get("cost_usd"), int | float)]
    return Standing(
        name=one_line(str(state.settings.get("name") or follower.folder.name), 80),
        target=one_line(str(state.settings.get("target", "")), 40),
        kind=kind,
        state="ended" if ended is not None else "running" if running else "stopped",
        phase=f"ended: {ended}" if ended is not None else phase_of(events),
        phase_s=since,
        done=len(state.decided),
        limit=launch.get("attempts") if isinstance(launch.get("attempts"), int) else None,
        verdicts=_counts(stream),
        champion=state.champion_attempt or "start",
        champion_us=state.champion_us,
        baseline_us=_anchor_us(measured, "baseline", kind),
        floor_us=measured.get("floor_us"),
        wall_s=active_seconds(events) + (since or 0.0 if running and ended is None else 0.0),
        tokens=sum(_tokens(each) for each in stream),
        cost_usd=sum(costs) if costs else None,
        alerts=_alerts(follower, state, stream, since),
        stream=stream[-_KEPT_ROWS:],
    )


def _anchor_us(measured: dict[str, Any], label: str, kind: str) -> float | None:
    value = (measured.get(label) or {}).get(f"{kind}_us")
    return float(value) if isinstance(value, int | float) else None


def _stream(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Every attempt with all that its events say, in order."""
    return [{"attempt": name, **told.fields} for name, told in told_of(events).items()]


def _counts(stream: Sequence[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in stream:
        if verdict := str(each.get("verdict", "")):
            found[verdict] = found.get(verdict, 0) + 1
    return found


def _tokens(attempt: dict[str, Any]) -> int:
    usage = attempt.get("usage")
    counts = [usage.get(name) for name in ("input_tokens", "output_tokens")] if isinstance(usage, dict) else []
    return sum(each for each in counts if isinstance(each, int))


def _alerts(follower: Follower, state: State, stream: Sequence[dict[str, Any]], since: float | None) -> list[str]:
    found = []
    over = follower.ended is not None
    if not over and follower.events and not follower.running:
        found.append("the climb's process is gone; the same command goes on where it stood")
    elif not over and since is not None and since > _SILENT_S:
        found.append(f"nothing was written for {words.duration(since)}")
    if follower.unreadable:
        found.append(f"{words.plural(follower.unreadable, 'line')} of the ledger cannot be read")
    tail = [each for each in stream if each.get("decision")][-_FAILURES_IN_A_ROW:]
    if len(tail) == _FAILURES_IN_A_ROW and all(each.get("decision") == "failed" for each in tail):
        found.append(
            f"the agent failed {len(tail)} times in a row: {one_line(str(tail[-1].get('failure', '')), 60)}"
        )
    invalid = [each for each in stream if each.get("verdict") == "INVALID"]
    if invalid:
        found.append(f"{len(invalid)} INVALID, the last for {one_line(str(invalid[-1].get('reason', '')), 60)}")
    return found


def view(now: Standing) -> RenderableType:
    """The standing as something rich can draw."""
    parts: list[RenderableType] = [_title(now), _progress(now), _champion(now), _spent(now)]
    parts += [Text(f"! {alert}", style="bold yellow") for alert in now.alerts]
    if now.stream:
        parts.append(_table(now))
    return Group(*parts)


def _title(now: Standing) -> Text:
    text = Text.assemble((now.name, "bold"), f"  {now.target}  ", (now.state, "bold cyan"))
    since = f" for {words.duration(now.phase_s)}" if now.state == "running" and now.phase_s is not None else ""
    return text.append(f"  {one_line(now.phase, 120)}{since}")


def _progress(now: Standing) -> RenderableType:
    counts = Text(", ").join(
        Text(f"{number} {name}", style=STYLES.get(name, "")) for name, number in now.verdicts.items()
    )
    label = f"{now.done} of {now.limit} attempts" if now.limit else words.plural(now.done, "attempt")
    return _barred(label, now.done, now.limit, counts)


def _champion(now: Standing) -> RenderableType:
    if now.champion_us is None:
        return Text("champion: no cost yet")
    share = now.floor_us / now.champion_us if now.floor_us else None
    label = f"champion {now.champion} {words.microseconds(now.champion_us)} µs {now.kind}"
    gain = f"{words.times(now.baseline_us / now.champion_us)} the baseline's speed; " if now.baseline_us else ""
    floor = (
        f"{words.percent(share)} of the floor {words.microseconds(now.floor_us)} µs" if share else "no floor known"
    )
    return _barred(label, share or 0.0, 1.0 if share else None, Text(gain + floor))


def _barred(label: str, done: float, total: float | None, note: Text) -> RenderableType:
    """A label with a bar when there is a total, and words below it."""
    grid = Table.grid(padding=(0, 1))
    bar: RenderableType = ProgressBar(total=total, completed=min(done, total), width=_BAR) if total else Text("")
    grid.add_row(label, bar)
    return Group(grid, Text.assemble("  ", note)) if note else grid


def _spent(now: Standing) -> Text:
    money = f", {words.money(now.cost_usd)}" if now.cost_usd is not None else ""
    tokens = f", {words.count(now.tokens)} tokens" if now.tokens else ""
    return Text(f"spent {words.duration(now.wall_s)}{tokens}{money}", style="dim")


def _table(now: Standing) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    for title in ("attempt", "verdict", "reason", f"{now.kind} µs", "ratio"):
        table.add_column(title, no_wrap=True)
    table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=1)
    for each in now.stream[-_STREAM:]:
        verdict = str(each.get("verdict", ""))
        us = each.get(f"{now.kind}_us")
        ratio = each.get("ratio")
        table.add_row(
            one_line(str(each["attempt"]), 20),
            Text(verdict or str(each.get("decision") or "…"), style=STYLES.get(verdict, "dim")),
            one_line(str(each.get("reason") or each.get("failure") or ""), 30),
            words.microseconds(us) if isinstance(us, int | float) else words.DASH,
            words.ratio(ratio) if isinstance(ratio, int | float) else words.DASH,
            Text(one_line(str(each.get("hypothesis", "")), 70)),
        )
    return table
