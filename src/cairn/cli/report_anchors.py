"""The fixed points of a climb as rows: baseline, start, champion, and the judgement that confirms the claim."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from cairn.cli.report_receipts import receipt_row
from cairn.climb.ledger import Event
from cairn.climb.state import State
from cairn.report.receipt_rows import Receipt
from cairn.report.rows import Anchor, Attempt, Confirmation, Kind

Receipts = Mapping[str, Mapping[str, Any]]


def headline_cost(receipt: Receipt | None) -> tuple[float | None, float | None, float | None, Kind]:
    """Cost at the first bench shape with its interval, and how it came about."""
    if receipt is not None and receipt.timings:
        first = receipt.timings[0]
        return first.us, first.low_us, first.high_us, "measured"
    if receipt is not None and receipt.shapes:
        shape = receipt.shapes[0]
        return shape.us, shape.low_us, shape.high_us, "predicted"
    return None, None, None, "predicted"


def start_receipt(receipts: Sequence[Mapping[str, Any]], start: object, by_id: Receipts) -> Receipt | None:
    named = by_id.get(str(start.get("receipt"))) if isinstance(start, Mapping) else None
    found = named or next((each for each in receipts if each.get("attempt") == "start"), None)
    return receipt_row(found) if found else None


def kind_of(measured: Mapping[str, Any], start: Receipt | None) -> Kind:
    stated = measured.get("kind")
    if stated in ("predicted", "measured"):
        return cast(Kind, stated)
    return "measured" if start is not None and start.timings else "predicted"


def anchors_of(state: State, receipts: Receipts, kind: Kind, attempts: Sequence[Attempt]) -> list[Anchor]:
    measured = state.measured
    if measured is None:
        return []
    start = receipts.get(str(measured["start"].get("receipt")))
    start_row = receipt_row(start) if start else None
    baseline = _anchor("baseline", measured.get("baseline") or {}, kind)
    if start is not None:
        low, high = _incumbent_interval(start)
        baseline = Anchor(**{**_fields(baseline), "low_us": low, "high_us": high})
    _, low, high, _ = headline_cost(start_row)
    first = Anchor(
        **{**_fields(_anchor("start", measured.get("start") or {}, kind)), "low_us": low, "high_us": high}
    )
    return [baseline, first, _champion(state, receipts, kind, attempts)]


def _fields(anchor: Anchor) -> dict[str, Any]:
    return {name: getattr(anchor, name) for name in anchor.__struct_fields__}


def _anchor(label: str, record: Mapping[str, Any], kind: Kind) -> Anchor:
    us = record.get("measured_us") if kind == "measured" else record.get("predicted_us")
    return Anchor(
        label=cast(Any, label),
        name=str(record.get("variant", "")),
        us=us,
        kind=kind,
        receipt=str(record.get("receipt") or ""),
    )


def _incumbent_interval(start: Mapping[str, Any]) -> tuple[float | None, float | None]:
    first: Mapping[str, Any] = next(iter((start.get("cost") or {}).get("incumbent") or []), {})
    return first.get("low_us"), first.get("high_us")


def _champion(state: State, receipts: Receipts, kind: Kind, attempts: Sequence[Attempt]) -> Anchor:
    best = next((each for each in attempts if each.id == state.champion_attempt), None)
    receipt = receipts.get(str(state.champion_receipt))
    us, low, high, _ = headline_cost(receipt_row(receipt) if receipt else None)
    if us is None:
        us = best.us if best else (state.measured or {}).get("champion", {}).get(f"{kind}_us")
    return Anchor(
        label="champion",
        name=state.champion_attempt or "start",
        us=us,
        low_us=low,
        high_us=high,
        kind=kind,
        receipt=state.champion_receipt or "",
        commit=state.champion or "",
    )


def confirmation_of(
    receipts: Sequence[Mapping[str, Any]], events: Sequence[Event], kind: Kind, champion: str | None
) -> Confirmation | None:
    """The last confirmation, unless the ledger says that it was of another champion than today's."""
    found = next((each for each in reversed(receipts) if each.get("purpose") == "confirmation"), None)
    if found is None:
        return None
    told = next((each for each in reversed(events) if each.get("receipt") == found.get("id")), {})
    commit = str(told.get("champion") or found.get("commit") or "")
    if commit and champion and commit != champion:
        return None
    row = receipt_row(found)
    us, _, _, found_kind = headline_cost(row)
    timing = row.timings[0] if row.timings else None
    shape = row.shapes[0] if row.shapes else None
    cost = found.get("cost") or {}
    return Confirmation(
        receipt=row.id,
        kind=found_kind if us is not None else kind,
        verdict=str(found.get("verdict", "")),
        reason=str(found.get("reason", "")),
        us=us,
        baseline_us=timing.incumbent_us if timing else shape.incumbent_us if shape else None,
        ratio=cost.get("ratio"),
        ratio_low=timing.ratio_low if timing else None,
        ratio_high=timing.ratio_high if timing else None,
        margin=row.margin,
        commit=commit,
    )
