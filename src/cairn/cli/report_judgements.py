"""A book of single judgements, as `cairn judge run` writes it, as the rows a report is made of."""

from collections.abc import Mapping
from typing import Any

from cairn.cli.report_anchors import headline_cost
from cairn.cli.report_find import RECEIPTS, Source
from cairn.cli.report_receipts import flat, receipt_row
from cairn.judge.receipt import ReceiptBook
from cairn.report.rows import Alert, Attempt, Run


def judgements_run(source: Source) -> Run:
    """Single judgements as a run without anchors: each receipt is one attempt."""
    receipts = ReceiptBook(source.folder / RECEIPTS).all()
    rows = [_judgement(number, each) for number, each in enumerate(receipts, start=1)]
    targets = sorted({str(each.get("target", "")) for each in receipts})
    problems = sorted({str(each.get("problem", "")) for each in receipts})
    kinds = {row.kind for row in rows}
    mixed = len(targets) > 1 or len(problems) > 1
    text = "judgements of different problems or targets: their costs cannot be compared"
    return Run(
        name=source.folder.name,
        source="judgements",
        problem=", ".join(problems),
        target=", ".join(targets),
        kind="measured" if kinds == {"measured"} else "predicted",
        state="ended" if rows else "empty",
        started=rows[0].started if rows else "",
        updated=rows[-1].ended if rows else "",
        attempts=rows,
        alerts=[Alert(level="note", text=text)] if mixed else [],
        environment=_fingerprint(receipts[-1]) if receipts else {},
        environments=len({str(_fingerprint(each)) for each in receipts}),
        files={"receipts": str(source.folder / RECEIPTS)},
    )


def _fingerprint(receipt: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in flat(receipt.get("fingerprint") or {}).items()}


def _judgement(number: int, receipt: Mapping[str, Any]) -> Attempt:
    row = receipt_row(receipt)
    variant = receipt.get("variant") or {}
    us, low, high, kind = headline_cost(row)
    stated = ", ".join(f"{name}={value}" for name, value in (variant.get("config") or {}).items())
    name = f"{receipt.get('problem', '')}/{variant.get('name', '')}"
    return Attempt(
        id=f"j{number:04d}",
        agent="judge run",
        phase="decided",
        hypothesis=f"{name}: {stated}" if stated else name,
        tunables={key: str(value) for key, value in (variant.get("config") or {}).items()},
        verdict=str(receipt.get("verdict", "")),
        reason=str(receipt.get("reason", "")),
        detail=row.detail,
        decision="judged",
        kind=kind,
        us=us,
        low_us=low,
        high_us=high,
        ratio=(receipt.get("cost") or {}).get("ratio"),
        started=row.time,
        ended=row.time,
        judge_s=sum(stage.s for stage in row.stages),
        receipt=row,
    )
