"""A profile on one screen, for an agent or a person: what bounds the step, with evidence, and what not to try.

The text is stable: same trace, same words, figures rounded, so that two briefs can be compared line by line.
"""

from typing import Any

_TOP = 8
_SMALL = 0.05
# kind -> what it means for who works on the kernel
_ADVICE = {
    "kernel": "time is in custom kernels: look at the kernel itself with `cairn lab explain`",
    "matmul": "time is in the compiler's own products: a kernel pays only if it fuses what stands round them",
    "fusion": "time is in the compiler's fusions: count their bytes; fewer passes over memory is what a kernel can win",
    "copy": "time is in copies and transposes: make the kernel take the layout that is there",
    "communication": "time is in collectives: overlap or shrink them; no kernel helps",
    "infeed": "the device waits for the host's data: feed it earlier; no kernel helps",
    "while": "control flow costs by itself: fewer, larger iterations",
    "conditional": "control flow costs by itself: fewer branches",
    "other": "operations of no known kind lead; see the table",
    "idle": "the device stands idle: launch fewer, larger programs, or keep the host ahead",
}


def brief(record: dict[str, Any], floor_us: float | None = None) -> dict[str, Any]:
    """The brief as data, from a summary's record.

    Args:
        floor_us: what a step can take at best, if somebody knows it.
    """
    step_us = 1e3 * record["step_duration_ms"]
    shares = {kind: us / step_us for kind, us in record["kinds_us"].items()} if step_us else {}
    shares["idle"] = record["idle_share"] or 0.0
    leading = max(shares, key=lambda kind: shares[kind])
    return {
        "step_us": step_us,
        "steps": record["steps"],
        "steps_source": record["steps_source"],
        "bottleneck": leading,
        "share": shares[leading],
        "advice": _ADVICE[leading],
        "shares": dict(sorted(shares.items(), key=lambda item: -item[1])),
        "floor_us": floor_us,
        "of_floor": step_us / floor_us if floor_us else None,
        "hot": record["hot_ops"][:_TOP],
        "not_worth_it": [kind for kind, share in shares.items() if share < _SMALL],
        "warnings": record["warnings"],
    }


def as_markdown(found: dict[str, Any]) -> str:
    """The brief as Markdown."""
    lines = [
        f"## Profile: {found['bottleneck']} leads with {found['share']:.0%} of the step",
        "",
        f"- step: {found['step_us']:,.1f} us in the mean of {found['steps']} ({found['steps_source']})",
        f"- {found['advice']}",
        "- shares: " + ", ".join(f"{kind} {share:.0%}" for kind, share in found["shares"].items()),
    ]
    if found["floor_us"]:
        lines.append(f"- floor: {found['floor_us']:,.1f} us; the step takes {found['of_floor']:.2f} times that")
    if found["not_worth_it"]:
        lines.append(
            f"- not worth trying (below {_SMALL:.0%} of the step each): {', '.join(found['not_worth_it'])}"
        )
    lines += [f"- doubt: {warning}" for warning in found["warnings"]]
    lines += ["", "| operation | kind | us a step | of the step | times |", "|---|---|---:|---:|---:|"]
    for op in found["hot"]:
        share = f"{op['share']:.1%}" if op["share"] is not None else "-"
        lines.append(
            f"| `{op['name'][:60]}` | {op['kind']} | {op['step_us']:,.1f} | {share} | {op['step_count']:g} |"
        )
    return "\n".join(lines) + "\n"
