"""Tables for people, built with rich into plain text of bounded width."""

import io
import shutil
import textwrap
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH = 100
_HYPOTHESIS_CHARS = 120
_REASON_CHARS = 60


def rendered(*parts: Any) -> str:
    """Render rich objects and strings to text without colours, so that it can be piped and tested."""
    stream = io.StringIO()
    width = max(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
    console = Console(file=stream, width=width, color_system=None, highlight=False, markup=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))  # a path that is broken in two cannot be copied
    return stream.getvalue().rstrip()


def microseconds(value: float | None) -> str:
    """A time for people: three significant figures, or a dash."""
    return "-" if value is None else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def receipt_table(receipt: dict[str, Any], path: Path) -> str:
    """A receipt as a person wants to see it."""
    stages = Table("stage", "seconds", "result", title=f"{receipt['problem']}/{receipt['variant']['name']}")
    for stage in receipt["stages"]:
        stages.add_row(stage["stage"], f"{stage['s']:.1f}", stage.get("reason", "ok"))
    lines: list[Any] = [stages]
    costs = _measured(receipt["cost"]) if receipt["cost"]["kind"] == "measured" else _predicted(receipt["cost"])
    if costs.row_count:
        lines.append(costs)
    if receipt["correctness"]:
        lines.append(_worst(receipt["correctness"]))
    verdict = f"{receipt['verdict']} ({receipt['reason']}): {receipt['detail']}"
    return rendered(*lines, verdict, f"receipt {receipt['id']} in {path}")


def _predicted(cost: dict[str, Any]) -> Table:
    table = Table("shape", "predicted us", "interval", "incumbent us", "floor us", "of floor")
    theirs = cost["incumbent"]
    for index, row in enumerate(cost["shapes"]):
        table.add_row(*_cost_row(row, theirs[index] if index < len(theirs) else None))
    return table


def _measured(cost: dict[str, Any]) -> Table:
    table = Table("shape", "measured us", "incumbent us", "ratio (95 %)", "pairs", "least effect seen", "device")
    for row in cost["timings"]:
        pairs = sum(len(process) for process in row["samples_s"])
        table.add_row(
            _shape(row["shape"]),
            microseconds(row["candidate_us"]),
            microseconds(row["incumbent_us"]),
            f"{row['ratio']:.3f} ({row['ratio_low']:.3f} - {row['ratio_high']:.3f})",
            f"{pairs} in {len(row['samples_s'])} processes",
            f"{row['least_detectable_effect']:.1%}",
            row["device"]["kind"],
        )
    return table


def _shape(shape: dict[str, int]) -> str:
    return " ".join(f"{name}={size}" for name, size in shape.items())


def _cost_row(cost: dict[str, Any], theirs: dict[str, Any] | None) -> list[str]:
    shape = _shape(cost["shape"])
    floor = cost.get("floors", {}).get("target_us")
    us = cost["predicted_us"]
    share = f"{floor / us:.0%}" if us and floor else "-"
    interval = f"{microseconds(cost['low_us'])} - {microseconds(cost['high_us'])}" if us else str(cost["refused"])
    incumbent = microseconds(theirs["predicted_us"]) if theirs else "-"
    return [shape, microseconds(us), interval, incumbent, microseconds(floor), share]


def _worst(checks: list[dict[str, Any]]) -> str:
    outputs = [output for check in checks for output in check["outputs"]]
    worst = max(outputs, key=lambda output: output["rms"] / output["allowed_rms"])
    used = worst["rms"] / worst["allowed_rms"]
    text = f"correctness: {len(checks)} draws with fresh seeds; closest call `{worst['output']}`"
    return f"{text}, rms error {worst['rms']:.1e}, {used:.0%} of what is allowed"


def climb_table(data: dict[str, Any]) -> str:
    """A climb as a person wants to see it: attempts, then where it began and where it is."""
    several = any(attempt.get("ratios") for attempt in data["attempts"])  # what is quoted is the first of them
    over_all = ["ratio, all shapes"] if several else []  # to the incumbent of its time
    attempts = Table("attempt", "decision", "reason", f"{data['kind']} us", *over_all, "hypothesis")
    for attempt in data["attempts"]:
        hypothesis = textwrap.shorten(attempt["hypothesis"], _HYPOTHESIS_CHARS, placeholder=" ...")
        reason = textwrap.shorten(attempt["reason"] or "", _REASON_CHARS, placeholder=" ...")
        ratio = ["-" if attempt["ratio"] is None else f"{attempt['ratio']:.3f}"] if several else []
        attempts.add_row(
            attempt["id"], attempt["decision"], reason, microseconds(_us(attempt)), *ratio, hypothesis
        )
    parts: list[Any] = [attempts] if data["attempts"] else []
    if data["baseline"]:
        parts.append(_anchors(data))
    why = f" ({data['ended_detail']})" if data["ended_detail"] else ""
    end = f"ended: {data['ended']}, {data['ended_means']}{why}" if data["ended"] else "not ended"
    return rendered(
        *parts, end, f"branch {data['branch']}   (git log {data['branch']})", f"ledger {data['ledger']}"
    )


def fleet_table(data: dict[str, Any]) -> str:
    """The places that judged, when there were several."""
    if len(data["places"]) < 2:
        return ""
    table = Table("place", "host", "judged", "busy s", "lost", "lost s")
    for place in data["places"]:
        numbers = (str(place["judged"]), f"{place['busy_s']:.0f}", str(place["lost"]), f"{place['lost_s']:.0f}")
        table.add_row(place["name"], place["host"], *numbers)
    return rendered(table, f"{data['occupancy']:.0%} of the places' time was judging that came to its end")


def _us(record: dict[str, Any]) -> float | None:
    value = record.get("predicted_us")
    return record.get("measured_us") if value is None else value


def _anchors(data: dict[str, Any]) -> Table:
    baseline, start, champion = data["baseline"], data["start"], data["champion"]
    several = ["over all shapes"] if baseline.get("mean_us") else []
    table = Table("", "what", f"{data['kind']} us on {data['target']}", "against baseline", *several, "of floor")
    rows = [
        ("original baseline", baseline["variant"], baseline),
        ("start", start["variant"], start),
        ("champion", champion["attempt"] or "the start", champion),
    ]
    for label, what, anchor in rows:
        us = _us(anchor)
        over_all = [_times(baseline.get("mean_us"), anchor.get("mean_us"))] if several else []
        share = f"{data['floor_us'] / us:.0%}" if us and data["floor_us"] else "-"
        table.add_row(label, what, microseconds(us), _times(_us(baseline), us), *over_all, share)
    return table


def _times(theirs: float | None, ours: float | None) -> str:
    """How many times as fast."""
    return f"{theirs / ours:.2f}x" if ours and theirs else "-"
