"""Where the champion spends its time, in a few lines, from its receipt: what the next attempts are aimed at."""

from typing import Any

from cairn.climb.desk import Desk

_TOP = 8


def profile_brief(desk: Desk) -> str:
    """Markdown of the champion's cost, floor and what the compiler made of it; empty before anything is known."""
    receipt = desk.receipts.find(id=desk.state.champion_receipt)
    if receipt is None:
        return ""
    lines = [f"- receipt: {receipt['id']} ({desk.state.champion_attempt or 'the start'})"]
    for row in receipt["cost"].get("shapes", ()):
        lines += _shape(row)
    for row in receipt["cost"].get("timings", ()):
        lines.append(f"- {_named(row['shape'])}: measured {row['candidate_us']:.2f} us")
    return "\n".join(lines)


def _shape(row: dict[str, Any]) -> list[str]:
    us, floors = row.get("predicted_us"), row.get("floors") or {}
    if us is None:
        return [f"- {_named(row['shape'])}: not priced, {row.get('refused')}"]
    lines = [f"- {_named(row['shape'])}: predicted {us:.1f} us"]
    if floors.get("target_us"):
        bound = floors.get("target_bound_by") or floors.get("bound_by") or ""
        lines[0] += f", {floors['target_us'] / us:.0%} of the target floor {bound}".rstrip()
    numbers = {key: value for key, value in _flat(row.get("compiler") or {}) if isinstance(value, int | float)}
    largest = sorted(numbers.items(), key=lambda item: -abs(item[1]))[:_TOP]
    return lines + [f"  - {key}: {value:,.4g}" for key, value in largest]


def _flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found += _flat(value, f"{name}.")
        elif not isinstance(value, bool):
            found.append((name, value))
    return found


def _named(shape: dict[str, int]) -> str:
    return " ".join(f"{name}={size}" for name, size in shape.items())
