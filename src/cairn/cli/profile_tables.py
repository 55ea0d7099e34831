"""Profiles for people: summaries, comparisons and budgets as plain tables."""

from typing import Any

from rich.table import Table

from cairn.cli.tables import microseconds, rendered


def summary_text(record: dict[str, Any]) -> str:
    """A summary: where the figures come from, kinds, the hottest operations, doubts."""
    step_us = 1e3 * record["step_duration_ms"]
    kinds = Table("kind", "us a step", "of the step")
    for kind, us in [*record["kinds_us"].items(), ("idle", record["idle_us"])]:
        kinds.add_row(kind, microseconds(us), _share(us, step_us))
    hot = Table("operation", "kind", "us a step", "of the step", "times")
    for op in record["hot_ops"]:
        times = f"{op['step_count']:g}"
        hot.add_row(
            op["name"][:60], op["kind"], microseconds(op["step_us"]), _share(op["step_us"], step_us), times
        )
    rest = record["operations"] - len(record["hot_ops"])
    head = (
        f"{record['device']}: {microseconds(step_us)} us a step, {record['steps']} steps"
        f" ({record['steps_source']}), {record['events_per_step']:g} operations in each"
    )
    more = [f"and {rest} more operations"] if rest > 0 else []
    if len(record["devices"]) > 1:
        more.append(f"{len(record['devices'])} devices; the busiest is shown")
    if record["overlap_us"] >= 1:
        more.append(f"operations overlap by {microseconds(record['overlap_us'])} us a step")
    return rendered(head, kinds, hot, *more, *[f"doubt: {warning}" for warning in record["warnings"]])


def comparison_text(found: dict[str, Any]) -> str:
    """A comparison; what forbids it comes first."""
    lines: list[Any] = [f"NOT COMPARABLE: {fault}" for fault in found["faults"]]
    step, sides = found["step_us"], (found["before"], found["after"])
    ratio = f" ({found['ratio']:.3f})" if found["ratio"] is not None else ""
    lines.append(f"a step: {microseconds(step['before'])} -> {microseconds(step['after'])} us{ratio}")
    for name, side in zip(("before", "after"), sides, strict=True):
        lines.append(
            f"{name}: {side['steps']} steps ({side['steps_source']}), {side['events_per_step']:g} operations each"
        )
    kinds = Table("kind", "before us", "after us", "difference us")
    for kind, row in {**found["kinds_us"], "idle": found["idle_us"]}.items():
        kinds.add_row(kind, microseconds(row["before"]), microseconds(row["after"]), _signed(row["delta"]))
    kinds.add_row("unexplained", "", "", _signed(found["unexplained_us"]))
    hot = Table("operation", "kind", "before us", "after us", "difference us")
    for row in found["top"]:
        hot.add_row(
            row["name"][:60],
            row["kind"],
            microseconds(row["before_us"]),
            microseconds(row["after_us"]),
            _signed(row["delta_us"]),
        )
    return rendered(*lines, kinds, hot)


def attribution_text(found: dict[str, Any]) -> str:
    """Budgets of a step in milliseconds, with the baseline's beside them."""
    summary, baseline = found["summary"], found.get("baseline")
    table = Table("budget", *(["baseline ms"] if baseline else []), "ms a step", "of the step")
    for kind, ms in summary["budgets_ms"].items():
        theirs = [f"{baseline['budgets_ms'][kind]:.3f}"] if baseline else []
        table.add_row(kind, *theirs, f"{ms:.3f}", _share(ms, summary["step_ms"]))
    lines: list[Any] = [f"a step of {summary['step_ms']:.3f} ms, from {summary['steps']} steps", table]
    if gap := summary.get("gap"):
        lines.append(
            f"gap to the upper bound: {gap['gap_ms']:.3f} ms, of which kernels and control flow"
            f" {gap['kernel_and_control_ms']:.3f}, interaction {gap['interaction_ms']:.3f}"
        )
    lines += [f"doubt: {warning}" for warning in found.get("comparison", {}).get("warnings", [])]
    return rendered(*lines)


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _signed(us: float) -> str:
    return f"{us:+,.1f}"
