"""A case as a receipt's body: plain JSON, every number with its unit in its name."""

from typing import Any

from cairn.judge.case import Case
from cairn.judge.pricing import Price
from cairn.judge.referee import Judge


def record_of(case: Case, judge: Judge, **context: Any) -> dict[str, Any]:
    """Everything a receipt says about a case. `context` adds fields such as the climb and the attempt."""
    assert case.ruling is not None
    bench = judge.problem.shapes.bench
    prices = [
        _cost(shape, price, case.floors[index].record() if case.floors else None)
        for index, (shape, price) in enumerate(zip(bench, case.prices, strict=False))
    ]
    return {
        **context,
        "problem": judge.problem.name,
        "target": judge.target.name,
        "variant": {"name": case.variant.name, "sha256": case.variant.digest, "config": case.config},
        "incumbent": {"name": case.incumbent.name, "sha256": case.incumbent.digest},
        "verdict": case.verdict.value,
        "reason": case.ruling.reason,
        "class": case.ruling.measurement_class,
        "detail": case.ruling.detail,
        "cost": {
            "kind": "predicted",
            "shapes": prices,
            "incumbent": [_cost(s, p, None) for s, p in zip(bench, case.incumbent_prices, strict=False)],
            "ratio": case.ratio,
            "margin": case.margin,
            "rule": "geometric mean over bench shapes against 1 - margin",
        },
        "correctness": case.checks,
        "seeds": case.seeds,
        "programs": case.programs,
        "stages": case.stages,
        "fingerprint": judge.fingerprint(),
    }


def _cost(shape: dict[str, int], price: Price, floors: dict[str, Any] | None) -> dict[str, Any]:
    record: dict[str, Any] = {
        "shape": shape,
        "predicted_us": price.us,
        "low_us": price.low_us,
        "high_us": price.high_us,
        "refused": price.refused,
        "program": price.program,
    }
    if floors is not None:
        record["floors"] = floors
        record["compiler"] = dict(price.record)
    return record
