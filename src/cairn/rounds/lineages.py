"""Lines of descent over rounds: which variants survive, in `lineages.json`.

Keys that cairn does not know are kept. A round is applied once: a file that has seen it already is left as it is.
Only trusted or unproven successes take part, best of a lineage first; a speedup within the last digit that hands
rounded away is no gain.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cairn.rounds.reading import Round, Variant, number
from cairn.rounds.trust import NOT_CHECKED, UNTRUSTED, Verdicts

SCHEMA = 1
_ROUNDED = 5e-4  # real files keep three or four decimals


@dataclass(frozen=True)
class Limits:
    """How many variants a round may keep, and how many lineages may live."""

    top_k: int = 2
    max_active: int = 4


@dataclass(frozen=True)
class Selected:
    """A variant that was kept, the lineage it belongs to and whether it improved that."""

    lineage: str
    variant: Variant
    speedup: float
    improved: bool


@dataclass(frozen=True)
class Selection:
    """What a round did to the lineages: the new file, the kept variants, and why others were not kept."""

    lineages: dict[str, Any]
    selected: tuple[Selected, ...]
    rejected: tuple[tuple[Variant, str], ...]
    pruned: tuple[str, ...]


def lineage_of(name: str, lineages: Mapping[str, Any]) -> str | None:
    """The lineage of a variant: by its history, else by the prefix of its name."""
    rows = [row for row in lineages.get("lineages") or () if isinstance(row, dict) and row.get("id")]
    for row in rows:
        history = [str(each) for each in row.get("history") or ()]
        if any(each == name or each.partition("-")[2].partition("-")[2] == name for each in history):
            return str(row["id"])
    return next((str(row["id"]) for row in rows if name.startswith(f"{row['id']}_")), None)


def seen(lineages: Mapping[str, Any]) -> int:
    """The last round that was applied; -1 when there is none."""
    value = number(lineages.get("round"))
    return int(value) if value is not None and (value > 0 or lineages.get("lineages")) else -1


def select(current: Mapping[str, Any], this: Round, verdicts: Verdicts, limits: Limits) -> Selection:
    """Apply a round. The best `top_k` live on, each in its lineage; the file says what became of the others."""
    after: dict[str, Any] = copy.deepcopy(dict(current))
    rows: list[dict[str, Any]] = [row for row in after.get("lineages") or () if isinstance(row, dict)]
    ranked, rejected = _ranked(this, verdicts)
    best_of: dict[str, Variant] = {}
    for variant in ranked:
        name = lineage_of(variant.name, current) or variant.name
        if name in best_of:
            rejected.append((variant, f"slower than {best_of[name].name} of the same lineage"))
        elif len(best_of) == limits.top_k:
            rejected.append((variant, f"below the best {limits.top_k}"))
        else:
            best_of[name] = variant
    selected = [_keep(rows, name, variant, this.number) for name, variant in best_of.items()]
    gained = {each.lineage for each in selected if each.improved}
    for row in rows:
        if str(row.get("id")) not in gained:
            row["stagnant_rounds"] = int(number(row.get("stagnant_rounds")) or 0) + 1
    pruned = _prune(rows, limits.max_active)
    after["lineages"] = [row for row in rows if row not in pruned]
    after["pruned"] = [*(after.get("pruned") or ()), *(_pruned_row(row, this.number) for row in pruned)]
    after["pruned"] += [_rejected_row(variant, this.number, why) for variant, why in rejected]
    after["round"] = this.number
    after["schema"] = SCHEMA
    after["config"] = {
        **(after.get("config") or {}),
        "top_k": limits.top_k,
        "max_active_lineages": limits.max_active,
    }
    names = tuple(str(row.get("id")) for row in pruned)
    return Selection(after, tuple(selected), tuple(rejected), names)


def _ranked(this: Round, verdicts: Verdicts) -> tuple[list[Variant], list[tuple[Variant, str]]]:
    ranked, rejected = [], []
    for variant in this.variants:
        trust = verdicts.get(variant.path, NOT_CHECKED)
        if variant.speedup is None:
            rejected.append((variant, trust.status if trust is not NOT_CHECKED else variant.status))
        elif trust.level == UNTRUSTED:
            rejected.append((variant, f"UNTRUSTED: {', '.join(trust.codes[:4])}"))
        else:
            ranked.append(variant)
    return sorted(ranked, key=lambda each: (-(each.speedup or 0.0), each.name)), rejected


def _keep(rows: list[dict[str, Any]], name: str, variant: Variant, this: int) -> Selected:
    """Put a variant into its lineage, or begin one."""
    speedup = variant.speedup or 0.0
    row = next((each for each in rows if str(each.get("id")) == name), None)
    if row is None:
        used = [str(each.get("id")) for each in rows]
        count = 1 + max((int(each[1:]) for each in used if each[:1] == "L" and each[1:].isdigit()), default=0)
        row = {"id": f"L{count}", "parent": None, "best_speedup": 0.0, "history": [], "stagnant_rounds": 0}
        rows.append(row)
    improved = speedup > (number(row.get("best_speedup")) or 0.0) + _ROUNDED
    if improved:
        row["best_speedup"] = round(speedup, 4)
        row["best_kernel"] = variant.path.replace("eval_result.json", "kernel.py")
        row["direction"] = variant.intent.direction or variant.name
        row["stagnant_rounds"] = 0
    row["history"] = [*(row.get("history") or ()), f"iter-{this}-{variant.name}"]
    return Selected(str(row["id"]), variant, speedup, improved)


def _prune(rows: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The lineages to end: longest without gain first, of equals the slowest."""

    def order(row: Mapping[str, Any]) -> tuple[float, float]:
        return -(number(row.get("stagnant_rounds")) or 0.0), number(row.get("best_speedup")) or 0.0

    return sorted(rows, key=order)[: max(0, len(rows) - most)]


def _pruned_row(row: Mapping[str, Any], this: int) -> dict[str, Any]:
    reason = f"stagnant_{int(number(row.get('stagnant_rounds')) or 0)}_rounds"
    kept = {key: row.get(key) for key in ("id", "best_speedup", "direction")}
    return {**kept, "pruned_at_round": this, "reason": reason}


def _rejected_row(variant: Variant, this: int, why: str) -> dict[str, Any]:
    return {
        "id": f"R{this}_{variant.name}",
        "best_speedup": round(variant.speedup or 0.0, 4),
        "direction": variant.intent.direction or variant.name,
        "pruned_at_round": this,
        "reason": why,
    }
