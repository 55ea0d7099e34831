"""Judge again what a receipt is about: the same sources, the same target, fresh seeds. Is the verdict the same?

A receipt that cannot be judged again here (another compiler, another machine, a changed problem) is neither
confirmed nor refuted, and says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cairn.judge.protocol import VariantSource
from cairn.judge.receipt import ReceiptBook
from cairn.judge.record import headline, record_of
from cairn.judge.referee import Judge
from cairn.problem import load_problem
from cairn.roofline import parse_target

# a predicted cost has no noise: the same program and the same model give the same number
_SAME_PREDICTION = 1e-6
# what may differ in a fingerprint: how far a variant was locked in, and cairn's own version, which the model tells
_INCIDENTAL = {"isolation", "cairn"}


@dataclass(frozen=True)
class Verification:
    """`outcome`: `reproduced`, `not_reproduced` or `cannot`; `why` in words; what was said then and now."""

    outcome: str
    why: str
    then: Mapping[str, Any]
    now: Mapping[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        return asdict(self)


def judge_again(
    receipt: Mapping[str, Any],
    book: ReceiptBook,
    folder: Path,
    python: Path,
    on_stage: Callable[[str, str], None],
) -> Verification:
    """Re-execute one receipt of a book, of the problem in `folder`.

    Raises:
        BadInput: the problem there is broken.
        Missing: the interpreter or the device is not there.
    """
    then = _said(receipt)
    sources = [_source(book, receipt[role]) for role in ("variant", "incumbent")]
    missing = next(
        (role for role, source in zip(("variant", "incumbent"), sources, strict=True) if not source), None
    )
    if missing is not None:
        return Verification("cannot", f"the {missing}'s source is not beside the receipts", then)
    if not (folder / "problem.yaml").is_file():
        return Verification("cannot", f"there is no problem at {folder}; name its folder: --problem", then)
    if receipt["reason"] == "frozen_changed":
        return Verification("cannot", "a file was edited while it was judged; that edit is not kept", then)
    problem = load_problem(folder)
    with Judge(problem, parse_target(receipt["target"]), python=python, on_stage=on_stage) as judge:
        changed = _changed(receipt["fingerprint"], judge.fingerprint())
        if changed:
            return Verification("cannot", f"another environment: {', '.join(changed)}", then)
        variant, incumbent = (source for source in sources if source is not None)
        case = judge.judge(
            variant, incumbent, receipt["cost"].get("margin"), anchor=receipt["purpose"] == "anchor"
        )
        now = record_of(case, judge)
    return _compared(then, receipt, now)


def _compared(then: Mapping[str, Any], receipt: Mapping[str, Any], now: Mapping[str, Any]) -> Verification:
    found = _said(now)
    if receipt["programs"] and now["programs"] and receipt["programs"][0] != now["programs"][0]:
        return Verification("not_reproduced", "the same source lowers to another program", then, found)
    if (then["verdict"], then["reason"]) != (found["verdict"], found["reason"]):
        return Verification(
            "not_reproduced", f"{found['verdict']} ({found['reason']}): {now['detail']}", then, found
        )
    predicted = receipt["cost"]["kind"] == "predicted" and then["us"] is not None and found["us"] is not None
    if predicted and abs(found["us"] / then["us"] - 1) > _SAME_PREDICTION:
        return Verification("not_reproduced", "the same verdict, at another predicted cost", then, found)
    return Verification("reproduced", "the same programs, the same verdict, with fresh seeds", then, found)


def _source(book: ReceiptBook, role: Mapping[str, Any]) -> VariantSource | None:
    """What was judged, when it is still there and still what the receipt says."""
    text = book.source(str(role["sha256"]))
    if text is None:
        return None
    source = VariantSource(str(role["name"]), text, dict(role.get("settings", {})))
    return source if source.digest == role["sha256"] else None


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = sorted((then.keys() | now.keys()) - _INCIDENTAL)
    return [f"{name} {then.get(name)} is {now.get(name)}" for name in names if then.get(name) != now.get(name)]


def _said(receipt: Mapping[str, Any]) -> dict[str, Any]:
    found = headline(receipt)
    return {
        "verdict": receipt["verdict"],
        "reason": receipt["reason"],
        "kind": found.kind,
        "us": found.us,
        "incumbent_us": found.incumbent_us,
        "ratio": found.ratio,
        "seeds": receipt["seeds"],
    }
