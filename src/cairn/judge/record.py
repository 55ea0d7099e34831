"""A case as a receipt's body: plain JSON, every number with its unit in its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.judge.case import Case
from cairn.judge.prices import Price
from cairn.judge.protocol import VariantSource
from cairn.judge.referee import Judge
from cairn.problem import Shape


def record_of(case: Case, judge: Judge, **context: Any) -> dict[str, Any]:
    """Everything a receipt says about a case. `context` adds fields such as the climb and the attempt."""
    assert case.ruling is not None
    bench = judge.problem.shapes.bench
    return {
        **context,
        "problem": judge.problem.name,
        "target": judge.target.name,
        "problem_folder": _in_its_tree(judge.problem.folder),
        "variant": {**_identity(case.variant), "config": case.config},
        "incumbent": _identity(case.incumbent),
        "sources": {source.digest: source.text for source in (case.variant, case.incumbent)},
        "purpose": case.purpose,
        "candidate_number": case.number,
        "verdict": case.verdict.value,
        "reason": case.ruling.reason,
        "class": case.ruling.measurement_class,
        "detail": case.ruling.detail,
        "cost": _measured(case, bench) if judge.target.measured else _predicted(case, bench),
        "correctness": case.checks,
        "sensitivity": case.probes,
        "seeds": case.seeds,
        "programs": case.programs,
        "program_facts": case.facts,
        "stages": case.stages,
        "fingerprint": judge.fingerprint(),
    }


def _in_its_tree(folder: Path) -> str:
    """A folder as its checkout names it, so that a receipt can be published and tells nothing of the machine."""
    place = folder.resolve()
    tops = (parent for parent in (place, *place.parents) if (parent / ".git").exists())
    top = next(tops, None)
    return str(place if top is None else place.relative_to(top).as_posix())


def _identity(source: VariantSource) -> dict[str, Any]:
    """`settings` are the fields of Config that were overridden; the hash covers them."""
    return {"name": source.name, "sha256": source.digest, "settings": dict(source.config)}


def _predicted(case: Case, bench: list[Shape]) -> dict[str, Any]:
    floors: list[dict[str, Any] | None] = [floor.record() for floor in case.floors]
    mine = zip(bench, case.prices, floors or [None] * len(bench), strict=False)
    return {
        "kind": "predicted",
        "shapes": [_cost(shape, price, floor) for shape, price, floor in mine],
        "incumbent": [
            _cost(shape, price, None) for shape, price in zip(bench, case.incumbent_prices, strict=False)
        ],
        "ratio": case.ratio,
        "margin": case.margin,
        "rule": "geometric mean over bench shapes against 1 - margin",
    }


def _measured(case: Case, bench: list[Shape]) -> dict[str, Any]:
    return {
        "kind": "measured",
        "timings": [
            {"shape": shape, **timing.record()} for shape, timing in zip(bench, case.timings, strict=False)
        ],
        "ratio": case.ratio,
        "margin": case.margin,
        "calibration": case.calibration,
        "rule": "every bench shape faster by an anytime-valid test on the processes' median log-ratios",
    }


@dataclass(frozen=True)
class Headline:
    """The number of a receipt: microseconds at the first bench shape; `kind` is `predicted` or `measured`."""

    kind: str
    us: float | None
    incumbent_us: float | None
    ratio: float | None


def headline(receipt: Mapping[str, Any]) -> Headline:
    """The headline of any receipt; None for what was never obtained."""
    cost = receipt["cost"]
    if cost["kind"] == "measured":
        first = cost["timings"][0] if cost["timings"] else {}
        return Headline("measured", first.get("candidate_us"), first.get("incumbent_us"), cost["ratio"])
    mine, theirs = (rows[0]["predicted_us"] if rows else None for rows in (cost["shapes"], cost["incumbent"]))
    return Headline("predicted", mine, theirs, cost["ratio"])


def _cost(shape: Shape, price: Price, floors: dict[str, Any] | None) -> dict[str, Any]:
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
