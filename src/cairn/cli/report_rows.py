"""A climb as the rows a report is made of. Reads; never writes."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cairn.cli.report_anchors import (
    Receipts,
    anchors_of,
    confirmation_of,
    headline_cost,
    kind_of,
    start_receipt,
)
from cairn.cli.report_events import Told, active_seconds, is_running, phase_of, told_of
from cairn.cli.report_find import LEDGER, RECEIPTS, Source
from cairn.cli.report_receipts import calibration_of, flat, receipt_row
from cairn.cli.report_transcript import open_regular, read_utterances, transcript_file
from cairn.climb.ends import ENDS
from cairn.climb.ledger import Event, Ledger
from cairn.climb.occupancy import fleet_use
from cairn.climb.state import State, fold
from cairn.judge.receipt import ReceiptBook
from cairn.report.rows import (
    Alert,
    Attempt,
    Limit,
    Place,
    Run,
    RunState,
    Utterance,
)

_DIFF_BYTES = 200_000


def climb_run(source: Source) -> Run:
    """Everything a climb's folder knows.

    Raises:
        BadInput: the ledger or the receipts are damaged in the middle.
    """
    ledger = Ledger(source.folder / LEDGER)
    state = fold(ledger.events)
    book = ReceiptBook(source.folder / RECEIPTS)
    all_receipts = book.all()
    receipts: Receipts = {str(each.get("id")): each for each in all_receipts}
    told = told_of(ledger.events)
    attempts = _attempts(state, told, receipts, source.folder)
    measured = state.measured or {}
    start = start_receipt(all_receipts, measured.get("start"), receipts)
    kind = kind_of(measured, start)
    calibration = _calibration(measured, all_receipts)
    shape = start.shapes[0] if start and start.shapes else None
    running = is_running(source.folder)
    events = ledger.events
    return Run(
        name=str(state.settings.get("name") or source.folder.name),
        source="climb",
        problem=str(state.settings.get("problem") or ""),
        variant=str(state.settings.get("variant") or ""),
        target=str(state.settings.get("target") or ""),
        shape=shape.shape if shape else start.timings[0].shape if start and start.timings else "",
        kind=kind,
        state=_state_of(state, events, running=running),
        reason=state.ended or "",
        phase=phase_of(events) if running else "",
        started=str(events[0].get("time", "")) if events else "",
        updated=str(events[-1].get("time", "")) if events else "",
        launches=state.launches,
        branch=state.branch or "",
        base=state.base or "",
        target_us=measured.get("floor_us") or (shape.target_us if shape else None),
        physics_us=shape.physics_us if shape else None,
        bound_by=shape.target_bound_by if shape else "",
        margins={name: float(value) for name, value in (state.settings.get("margins") or {}).items() if value},
        anchors=anchors_of(state, receipts, kind, attempts),
        confirmation=confirmation_of(all_receipts, events, kind, state.champion),
        attempts=attempts,
        budget=_budget(state, events, attempts),
        calibration=calibration,
        least_effect=_least_effect(calibration, attempts),
        environment={name: str(value) for name, value in flat(measured.get("fingerprint") or {}).items()},
        environments=_environments(events),
        **_places(events),
        alerts=_alerts(state, ledger, book, attempts, running=running),
        ideas=_to_mend(state),
        files={"ledger": str(ledger.path), "receipts": str(book.path)},
    )


def _to_mend(state: State) -> list[str]:
    """What a person has to see to before a climb that trouble ended can go on."""
    end = ENDS.get(state.ended or "")
    if end is None or not end.code or state.ended == "interrupted":
        return []
    why = f" ({state.ended_detail})" if state.ended_detail else ""
    return [f"It ended early: {end.meaning}{why}. When that is mended, the same command goes on."]


def _places(events: Sequence[Event]) -> dict[str, Any]:
    use = fleet_use(events)
    rows = [Place(each.name, each.judged, each.busy_s, each.lost) for each in use.places.values()]
    return {"places": rows, "occupancy": use.occupancy}


def _attempts(state: State, told: Mapping[str, Told], receipts: Receipts, folder: Path) -> list[Attempt]:
    by_commit = {str(each.fields.get("candidate")): name for name, each in told.items()}
    by_commit |= {attempt.commit: attempt.id for attempt in state.attempts.values() if attempt.commit}
    found = []
    for name in state.attempts:
        heard = told.get(name, Told())
        parent = by_commit.get(state.attempts[name].parent, "")
        found.append(_attempt(name, parent, state.attempts[name].phase, heard, (receipts, folder)))
    return found


def _attempt(name: str, parent: str, phase: str, told: Told, places: tuple[Receipts, Path]) -> Attempt:
    receipts, folder = places
    fields = told.fields
    receipt = receipts.get(str(fields.get("receipt")))
    row = receipt_row(receipt) if receipt else None
    us, low, high, kind = headline_cost(row)
    if row is None:
        kind = "measured" if fields.get("measured_us") is not None else "predicted"
        us = fields.get("measured_us") if kind == "measured" else fields.get("predicted_us")
    usage = fields.get("usage") if isinstance(fields.get("usage"), Mapping) else {}
    diff, diff_left = _diff(folder / "attempts" / name / "change.patch")
    said, said_left, said_path = _transcript(folder / "attempts" / name, str(fields.get("transcript") or ""))
    return Attempt(
        id=name,
        parent=parent,
        round=fields.get("round") if isinstance(fields.get("round"), int) else None,
        lineage=_text(fields, "lineage"),
        agent=_text(fields, "agent"),
        model=_text(fields, "model"),
        phase=phase,
        hypothesis=_text(fields, "hypothesis"),
        expected_effect=_text(fields, "expected_effect"),
        idea_class=_text(fields, "idea_class"),
        evidence=_text(fields, "evidence"),
        tunables={key: str(value) for key, value in (fields.get("tunables") or {}).items()},
        verdict=_text(fields, "verdict"),
        reason=_text(fields, "failure" if phase == "abandoned" and fields.get("failure") else "reason"),
        failure=_text(fields, "failure") or _text(fields, "agent_failure"),
        detail=_text(fields, "detail") or _text(fields, "why"),
        decision=_text(fields, "decision") or ("abandoned" if phase == "abandoned" else ""),
        commit=_text(fields, "commit"),
        kind=kind,
        us=us,
        low_us=low,
        high_us=high,
        ratio=fields.get("ratio"),
        started=told.times.get("planned", ""),
        ended=told.times.get("decided") or told.times.get("abandoned", ""),
        agent_s=_first(fields.get("agent_s"), told.seconds("edited")),
        judge_s=_first(fields.get("judge_s"), told.seconds("judged")),
        input_tokens=_count(usage, "input_tokens"),
        cached_input_tokens=_count(usage, "cached_input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        cost_usd=fields.get("cost_usd"),
        diff=diff,
        diff_left_out=diff_left,
        transcript=said,
        transcript_left_out=said_left,
        transcript_path=said_path,
        receipt=row,
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _first(stated: object, taken: float | None) -> float | None:
    return float(stated) if isinstance(stated, int | float) else taken


def _count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) else None


def _diff(path: Path) -> tuple[str, int]:
    try:
        with open_regular(path) as file:
            data = file.read(_DIFF_BYTES)
            left = os.fstat(file.fileno()).st_size - len(data)
    except OSError:
        return "", 0
    return data.decode("utf-8", "replace"), left


def _transcript(folder: Path, named: str) -> tuple[list[Utterance], int, str]:
    path = transcript_file(folder, named)
    if path is None:
        return [], 0, ""
    try:
        said, left = read_utterances(path)
    except OSError:
        return [], 0, ""
    run = folder.parent.parent
    return said, left, str(path.relative_to(run)) if path.is_relative_to(run) else path.name


def _state_of(state: State, events: Sequence[Event], *, running: bool) -> RunState:
    if running and state.ended is None:
        return "running"
    if state.ended is not None:
        return "ended"
    return "stopped" if events else "empty"


def _budget(state: State, events: Sequence[Event], attempts: Sequence[Attempt]) -> list[Limit]:
    launch = next((each for each in reversed(events) if each.get("event") == "climb.launched"), {})
    budgets = launch.get("budgets")
    stated: Mapping[str, Any] = budgets if isinstance(budgets, Mapping) else {}
    rows = [Limit(name="attempts", used=len(state.decided), limit=_number(launch.get("attempts")))]
    rows.append(
        Limit(name="wall clock", used=active_seconds(events), limit=_number(stated.get("wall_s")), unit="s")
    )
    tokens = [each.input_tokens or 0 for each in attempts] + [each.output_tokens or 0 for each in attempts]
    if any(tokens) or stated.get("tokens"):
        rows.append(Limit(name="tokens", used=sum(tokens), limit=_number(stated.get("tokens")), unit="tokens"))
    money = [each.cost_usd for each in attempts if each.cost_usd is not None]
    if money or stated.get("cost_usd"):
        rows.append(Limit(name="money", used=sum(money), limit=_number(stated.get("cost_usd")), unit="USD"))
    if stated.get("device_s"):
        judged = sum(each.judge_s or 0.0 for each in attempts)
        rows.append(Limit(name="judging", used=judged, limit=_number(stated["device_s"]), unit="s"))
    return rows


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _calibration(measured: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]]) -> dict[str, float | str]:
    stated = calibration_of(measured)
    return stated or next((found for each in reversed(receipts) if (found := calibration_of(each))), {})


def _least_effect(calibration: Mapping[str, float | str], attempts: Sequence[Attempt]) -> float | None:
    """What the A/A runs promise; without them the largest effect that a single judgement could have missed."""
    promised = calibration.get("least_detectable_effect")
    if isinstance(promised, int | float):
        return float(promised)
    effects = [
        timing.least_effect
        for each in attempts
        for timing in (each.receipt.timings if each.receipt else [])
        if timing.least_effect is not None
    ]
    return max(effects, default=None)


def _environments(events: Sequence[Event]) -> int:
    prints = {str(each.get("fingerprint")) for each in events if each.get("event") == "climb.measured"}
    return max(1, len(prints))


def _alerts(
    state: State, ledger: Ledger, book: ReceiptBook, attempts: Sequence[Attempt], *, running: bool
) -> list[Alert]:
    found = []
    if ledger.torn:
        text = (
            f"the last {len(ledger.torn)} bytes of the ledger are a torn line, cut off by a kill; it is left out"
        )
        found.append(Alert(level="note", text=text))
    if broken := book.broken_links():
        text = f"the chain of receipts does not hold at {', '.join(broken[:3])}: a line was changed or removed"
        found.append(Alert(level="warning", text=text))
    if not running and state.ended is None and ledger.events:
        unfinished = ", ".join(each.id for each in attempts if not each.decision)
        left = f"; left open: {unfinished}" if unfinished else ""
        text = f"the climb neither runs nor has ended{left}; the same command goes on where it stood"
        found.append(Alert(level="warning", text=text))
    if _environments(ledger.events) > 1:
        text = "the environment changed during this climb: baseline, start and champion were priced again"
        found.append(Alert(level="note", text=text))
    return found
