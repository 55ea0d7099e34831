"""`cairn lab compare`: two kernels on each target, and whether the model can tell them apart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from cairn.cli.lab_subjects import Wish, wish_of
from cairn.cli.tables import microseconds, rendered
from cairn.errors import UsageError

_LARGEST = ("issue", "mxu_stall", "unit_stall", "dma_wait", "neighbours")


def compared(
    subject: str, other: str | None, root: Path | None, options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One row for each target.

    Raises:
        UsageError: there is nothing to compare with.
    """
    if not (other or options["against"] or options["against_set"]):
        raise UsageError(
            "nothing to compare with", hint="name another subject, --against VARIANT or --against-set"
        )
    mine = wish_of(subject, root, options)
    changed = dict(options)
    changed["variant"] = options["against"] or options["variant"]
    changed["settings"] = (*options["settings"], *options["against_set"])
    theirs = wish_of(other or subject, root, changed)
    is_same_kernel = other in (None, subject) and not options["against"]
    return [_row(mine, theirs, target, is_same_kernel) for target in mine.targets]


def _row(mine: Wish, theirs: Wish, target: str, is_same_kernel: bool) -> dict[str, Any]:
    with mine.bench(target) as bench:
        answers = [bench.predict(wish.subject).as_data() for wish in (mine, theirs)]
    margin = _margin(answers, is_same_kernel)
    ratio = answers[0]["us"] / answers[1]["us"] if all(answer["us"] for answer in answers) else None
    return {
        "target": target,
        "subject": answers[0],
        "other": answers[1],
        "ratio": ratio,
        "margin": margin,
        "verdict": verdict(ratio, margin),
    }


def verdict(ratio: float | None, margin: float) -> str:
    """FASTER, SLOWER, or INCONCLUSIVE for a ratio of times within the margin, or for none.

    A margin of 25 % means a ratio between 1/1.25 and 1.25.
    """
    if ratio is None or 1.0 / (1.0 + margin) <= ratio <= 1.0 + margin:
        return "INCONCLUSIVE"
    return "FASTER" if ratio < 1.0 else "SLOWER"


def _margin(answers: list[dict[str, Any]], is_same_kernel: bool) -> float:
    if is_same_kernel:
        return max(float(answer["same_kernel_margin"]) for answer in answers)
    return max((answer["high_us"] / answer["us"] - 1.0 for answer in answers if answer["us"]), default=0.0)


def compare_text(rows: list[dict[str, Any]]) -> str:
    """A table with a row for each target, then where the difference comes from."""
    first, second = rows[0]["subject"]["subject"], rows[0]["other"]["subject"]
    table = Table("target", f"A: {first} (us)", f"B: {second} (us)", "A/B", "told apart from", "A is")
    notes = []
    for row in rows:
        times = [microseconds(row[side]["us"]) for side in ("subject", "other")]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.3f}"
        table.add_row(row["target"], *times, ratio, f"{row['margin']:.0%}", row["verdict"])
        for side, name in (("subject", "A"), ("other", "B")):
            if row[side]["us"] is None:
                notes.append(f"{row['target']}: {name} has no number: {row[side]['refused']}")
        if row["ratio"] is not None:
            notes.append(f"{row['target']}: A less B by cause, us: {_differences(row)}")
    return rendered(table, *notes)


def _differences(row: dict[str, Any]) -> str:
    mine, theirs = row["subject"]["breakdown"], row["other"]["breakdown"]
    parts = [(name, mine.get(name, 0.0) - theirs.get(name, 0.0)) for name in _LARGEST]
    return ", ".join(f"{name} {us:+,.1f}" for name, us in parts if abs(us) >= 0.05) or "none"
