"""A round as files, in the layout that `cairn round` and other tools read:

    iteration_{N}/{profile_brief,strategy,batch_analysis,selection}.md   lineages.json
    iteration_{N}/variants/NAME/{kernel.py,eval_result.json}

Results here come from the judge's receipts, so they are trusted; a cost is named by what it is, predicted or measured,
and `latency_ms` is written for measured ones only.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cairn.climb.desk import Desk
from cairn.climb.directions import direction_text
from cairn.climb.state import Attempt, State, ranked_anchor_us
from cairn.journal import write_atomic
from cairn.rounds.lineages import Limits, select
from cairn.rounds.reading import ANALYSIS as ANALYSIS_FILE
from cairn.rounds.reading import COMPILE_ERROR, INCORRECT, LINEAGES, RESULT, STRATEGY, SUCCESS, read_run
from cairn.rounds.reading import SELECTION as SELECTION_FILE
from cairn.rounds.tables import batch_analysis, selection_page
from cairn.rounds.trust import TRUSTED, Trust

_NO_LINEAGES: dict[str, Any] = {"lineages": [], "pruned": [], "round": 0}
_BAD_STATUS = {"INVALID": INCORRECT, "CRASH": COMPILE_ERROR}
_WRONG = ("wrong_output", "wrong_shape", "non_finite")


def last_round(state: State) -> int:
    """The number of the newest round; 0 when there was none."""
    return max((attempt.round or 0 for attempt in state.attempts.values()), default=0)


def folder_of(desk: Desk, number: int) -> Path:
    """The folder of a round."""
    path = desk.spec.folder / f"iteration_{number}"
    (path / "variants").mkdir(parents=True, exist_ok=True)
    return path


def write_brief(desk: Desk, number: int, brief: str) -> None:
    """`profile_brief.md`: what all directions of the round were chosen from."""
    text = f"## Round {number} Profile Brief\n\n{brief or 'Nothing is known yet.'}\n"
    write_atomic(folder_of(desk, number) / "profile_brief.md", text)


def write_strategy(desk: Desk, number: int, attempts: Sequence[Attempt]) -> None:
    """`strategy.md`: which variant tries what, from where."""
    lines = [f"## Round {number} Strategy", ""]
    for attempt in attempts:
        told = direction_text(attempt.direction)
        lines += [
            f"### Variant: {attempt.variant}",
            "",
            f"- **Base kernel**: {attempt.parent[:12]} ({attempt.lineage or 'the champion'})",
            f"- **Technical direction**: {attempt.direction}",
            f"- **Profile motivation**: {told.title if told else attempt.direction}",
            f"- **Attempt**: {attempt.id}",
            "",
        ]
    write_atomic(folder_of(desk, number) / STRATEGY, "\n".join(lines))


def write_selection(
    desk: Desk, number: int, attempts: Sequence[Attempt]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Results, analysis and selection of a round; the lineages after it and what was pruned in it."""
    for attempt in attempts:
        _write_result(desk, number, attempt)
    by_variant = {attempt.variant: attempt for attempt in attempts}
    run = read_run(desk.spec.folder)
    this = run.round(number)
    verdicts = {each.path: Trust(TRUSTED, each.status) for each in this.variants}
    batch = desk.spec.batch
    most = batch.lineages if batch else 1
    selection = select(desk.state.lineages or _NO_LINEAGES, this, verdicts, Limits(most, most))
    for each in selection.selected:
        attempt = by_variant[each.variant.name]
        row = next(row for row in selection.lineages["lineages"] if row["id"] == each.lineage)
        if each.improved or not row.get("commit"):
            row["attempt"], row["commit"] = attempt.id, attempt.commit or attempt.candidate or attempt.parent
    folder = folder_of(desk, number)
    write_atomic(folder / SELECTION_FILE, selection_page(this, selection))
    write_atomic(desk.spec.folder / LINEAGES, json.dumps(selection.lineages, indent=2) + "\n")
    write_atomic(folder / ANALYSIS_FILE, batch_analysis(read_run(desk.spec.folder), this, verdicts))
    pruned = [row for row in selection.lineages["pruned"] if row.get("pruned_at_round") == number]
    return selection.lineages, pruned


def _write_result(desk: Desk, number: int, attempt: Attempt) -> None:
    """One variant's source and result; without a receipt there is none, and readers call it missing."""
    folder = folder_of(desk, number) / "variants" / str(attempt.variant)
    folder.mkdir(exist_ok=True)
    if attempt.blob is not None:
        (folder / "kernel.py").write_bytes(desk.git.read_blob(attempt.blob))
    if attempt.receipt is not None:
        write_atomic(
            folder / RESULT, json.dumps(result_of(desk.state, attempt, _fingerprint(desk, attempt)), indent=2)
        )


def _fingerprint(desk: Desk, attempt: Attempt) -> dict[str, Any]:
    receipt: dict[str, Any] = desk.receipts.find(id=attempt.receipt) or {}
    text = desk.git.read_blob(attempt.blob) if attempt.blob else b""
    return {
        "device": desk.spec.target.chip_name,
        **receipt.get("fingerprint", {}),
        "source_sha256": hashlib.sha256(text).hexdigest(),
        "commit": attempt.candidate or attempt.parent,
        "seeds": receipt.get("seeds") or [],
        "flags": os.environ.get("LIBTPU_INIT_ARGS", ""),
    }


def result_of(state: State, attempt: Attempt, fingerprint: dict[str, Any]) -> dict[str, Any]:
    """`eval_result.json` of a judged attempt."""
    assert state.measured is not None
    status = _BAD_STATUS.get(attempt.verdict, SUCCESS)
    if attempt.reason in _WRONG:
        status = INCORRECT
    elif status == SUCCESS and attempt.cost_us is None:
        status = COMPILE_ERROR
    result: dict[str, Any] = {
        "status": status,
        "variant_id": attempt.variant,
        "attempt": attempt.id,
        "receipt": attempt.receipt,
        "verdict": attempt.verdict,
        "reason": attempt.reason,
        "cost_kind": "measured" if attempt.measured_us is not None else "predicted",
        "metadata": {"fingerprint": fingerprint},
    }
    if status != SUCCESS:
        return {**result, "error": f"{attempt.reason}: {attempt.detail}"}
    baseline, ranked, us = ranked_anchor_us(state.measured["baseline"]), attempt.ranked_us, attempt.cost_us
    assert us is not None
    assert ranked is not None
    speedup = baseline / ranked if baseline else None  # over all shapes, as it was decided
    result |= {"speedup": speedup, "fitness": speedup, f"{result['cost_kind']}_us": us}
    if attempt.measured_us is not None:
        result["latency_ms"] = us / 1000.0
    return result
