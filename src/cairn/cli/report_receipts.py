"""A receipt of the judge as a row of a report. Receipts of earlier versions lack fields; nothing here insists."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cairn.report.receipt_rows import Check, Receipt, ShapeCost, Stage, Timing

_RATIOS_SHOWN = 600
_NOT_METRICS = ("breakdown_us", "flags")


def shape_text(shape: Mapping[str, Any] | None) -> str:
    """`B=8 T=4096`, as the tables of the terminal write it."""
    return " ".join(f"{name}={size}" for name, size in (shape or {}).items())


def receipt_row(receipt: Mapping[str, Any]) -> Receipt:
    """Everything a page shows of a receipt."""
    cost = receipt.get("cost") or {}
    theirs = cost.get("incumbent") or []
    shapes = [
        _shape(row, theirs[at] if at < len(theirs) else {}) for at, row in enumerate(cost.get("shapes") or [])
    ]
    return Receipt(
        id=str(receipt.get("id", "")),
        time=str(receipt.get("time", "")),
        hash=str(receipt.get("hash", "")),
        measurement_class=str(receipt.get("class", "")),
        detail=str(receipt.get("detail") or ""),
        rule=str(cost.get("rule") or ""),
        margin=cost.get("margin"),
        stages=[
            Stage(
                stage=str(each.get("stage")), s=float(each.get("s") or 0.0), reason=str(each.get("reason") or "")
            )
            for each in receipt.get("stages") or []
        ],
        shapes=shapes,
        timings=[timing_row(each) for each in cost.get("timings") or []],
        checks=[_check(each) for each in receipt.get("correctness") or []],
        calibration=calibration_of(receipt),
        doubt=_text(receipt.get("doubt")),
    )


def calibration_of(record: Mapping[str, Any]) -> dict[str, float | str]:
    """A/A figures, wherever a receipt or an event keeps them."""
    cost = record.get("cost") or {}
    for holder in (record, cost, *(cost.get("timings") or [])):
        for name in ("calibration", "aa", "a_a"):
            if isinstance(found := holder.get(name), Mapping):
                noise = [each for each in found.get("noise") or [] if isinstance(each, Mapping)]
                spreads = {f"spread at {shape_text(each.get('shape'))}": each.get("spread") for each in noise}
                return flat({**{key: value for key, value in found.items() if key != "noise"}, **spreads})
    return {}


def flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, float | str]:
    """Nested figures as one level with dotted names; lists are counted or joined, nothing is dropped."""
    figures: dict[str, float | str] = {}
    for name, value in record.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            figures |= flat(value, f"{key}.")
        elif isinstance(value, bool) or value is None:
            figures[key] = str(value).lower() if value is not None else "none"
        elif isinstance(value, int | float):
            figures[key] = value
        elif isinstance(value, list):
            short = len(value) <= 8 and all(isinstance(each, str | int | float) for each in value)
            figures[key] = ", ".join(map(str, value)) if short else f"{len(value)} values"
        else:
            figures[key] = str(value)
    return figures


def _shape(row: Mapping[str, Any], theirs: Mapping[str, Any]) -> ShapeCost:
    floors, compiler = row.get("floors") or {}, row.get("compiler") or {}
    figures = {name: value for name, value in compiler.items() if name not in _NOT_METRICS}
    return ShapeCost(
        shape=shape_text(row.get("shape")),
        us=row.get("predicted_us"),
        low_us=row.get("low_us"),
        high_us=row.get("high_us"),
        incumbent_us=theirs.get("predicted_us"),
        refused=_text(row.get("refused")),
        physics_us=floors.get("physics_us"),
        physics_bound_by=_text(floors.get("physics_bound_by")),
        target_us=floors.get("target_us"),
        target_bound_by=_text(floors.get("target_bound_by")),
        breakdown_us=dict(compiler.get("breakdown_us") or {}),
        metrics=flat(figures),
        flags=[str(each) for each in compiler.get("flags") or []],
    )


def timing_row(row: Mapping[str, Any]) -> Timing:
    """A measured shape; the candidate's own interval comes from its raw samples."""
    from cairn.judge.evidence import interval  # numpy comes with it, and only measured receipts need it

    samples: list[list[Sequence[float]]] = row.get("samples_s") or []
    mine = [[math.log(1e6 * pair[1]) for pair in process if pair[1] > 0] for process in samples]
    _, low, high = interval(mine) if any(mine) else (None, None, None)
    ratios = [[pair[1] / pair[0] for pair in process if pair[0] > 0] for process in samples]
    each_shown = max(1, _RATIOS_SHOWN // max(1, len(ratios)))
    shown = [[float(f"{ratio:.5g}") for ratio in process[:each_shown]] for process in ratios]
    return Timing(
        shape=shape_text(row.get("shape")),
        us=row["candidate_us"],
        low_us=low,
        high_us=high,
        incumbent_us=row["incumbent_us"],
        ratio=row["ratio"],
        ratio_low=row["ratio_low"],
        ratio_high=row["ratio_high"],
        threshold=(row.get("plan") or {}).get("threshold"),
        least_effect=row.get("least_detectable_effect"),
        device=_text((row.get("device") or {}).get("kind")),
        ratios=shown,
        ratios_left_out=sum(map(len, ratios)) - sum(map(len, shown)),
    )


def _check(row: Mapping[str, Any]) -> Check:
    outputs = row.get("outputs") or []
    closest: Mapping[str, Any] = max(outputs, key=_used, default={})
    return Check(
        shape=shape_text(row.get("shape")),
        family=_text(row.get("family")),
        executor=_text(row.get("executor")),
        output=_text(closest.get("output")),
        rms=_finite(closest.get("rms")),
        allowed=_finite(closest.get("allowed_rms")),
        ok=all(each.get("ok", True) for each in outputs),
    )


def _used(output: Mapping[str, Any]) -> float:
    """The share of the allowed error that was used; what is not finite is worst."""
    rms, allowed = _finite(output.get("rms")), _finite(output.get("allowed_rms"))
    return math.inf if rms is None or not allowed else rms / allowed


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _text(value: object) -> str:
    return "" if value is None else str(value)
