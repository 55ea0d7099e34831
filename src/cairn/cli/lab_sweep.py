"""`cairn lab sweep`: the points of a grid, ranked, with one changing line of progress."""

import sys
from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cairn.cli.field_values import parse_space
from cairn.cli.lab_subjects import Wish
from cairn.cli.tables import microseconds, rendered
from cairn.errors import UsageError
from cairn.lab.sweep import Plan, Point, Row, bench_settings, grid, sweep, ties
from cairn.problem import holds

_MOST_POINTS = 2_000


def swept(wish: Wish, options: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Rank the grid on the wish's first target.

    Raises:
        UsageError: there is nothing to vary, or too much.
    """
    points = _points(wish, options)
    target = wish.targets[0]
    bench = bench_settings(str(wish.python), target, wish.cache, wish.timeout_s)
    plan = Plan(wish.subject, bench, points, options["workers"], options["exhaustive"])
    rows = _shown(plan, say)
    return {
        "subject": wish.subject.name,
        "target": target,
        "kind": "predicted",
        "points": len(points),
        "ties_with_best": ties(rows),
        "rows": [_row_data(row) for row in rows],
        "versions": next((dict(row.data["versions"]) for row in rows if row.data), {}),
    }


def _points(wish: Wish, options: dict[str, Any]) -> list[Point]:
    space = parse_space(options["over"])
    constraints: list[str] = list(options["where"])
    names: dict[str, Any] = dict(wish.shape or {})
    declared = wish.problem.tunables.get(wish.subject.name.split("/")[1].split()[0]) if wish.problem else None
    if declared is not None:
        space = space or {name: list(choices) for name, choices in declared.space.items()}
        constraints += declared.constraints
    if not space:
        raise UsageError("nothing to vary", hint="name choices: --over block=128,256,512 (may be repeated)")
    known = {**wish.subject.request.settings, **names}
    points = grid(space, lambda point: holds(constraints, {**known, **point}))
    if not points or len(points) > _MOST_POINTS:
        raise UsageError(f"{len(points)} points to try", hint=f"1 to {_MOST_POINTS}: narrow --over or --where")
    return points


def _shown(plan: Plan, say: Callable[[str], None]) -> list[Row]:
    """Sweep with a bar on a terminal, a line now and then elsewhere."""
    total = len(plan.points)
    if not sys.stderr.isatty():
        step = max(1, total // 10)
        return sweep(plan, lambda row, done: say(f"{done} of {total} points") if done % step == 0 else None)
    from rich.console import Console

    columns = (
        TextColumn("points"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[best]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("points", total=total, best="")
        best = [float("inf")]

        def told(row: Row, done: int) -> None:
            best[0] = min(best[0], row.us or float("inf"))
            bar.update(task, completed=done, best=f"best {microseconds(best[0])} us" if best[0] < 1e18 else "")

        return sweep(plan, told)


def _row_data(row: Row) -> dict[str, Any]:
    return {
        "settings": row.point,
        "us": row.us,
        "low_us": row.low_us,
        "high_us": row.high_us,
        "why": row.why or None,
        "hopeless": row.is_skipped,
        "failure": row.kind or None,
        "breakdown": row.data.get("breakdown", {}),
        "flags": row.data.get("flags", []),
        "program": row.data.get("program"),
    }


def sweep_text(data: dict[str, Any], top: int) -> str:
    """The best points, then how many had no number and why."""
    table = Table("#", "settings", "predicted us", "against best", title=f"{data['subject']} on {data['target']}")
    numbered = [row for row in data["rows"] if row["us"] is not None]
    for number, row in enumerate(numbered[:top], 1):
        settings = " ".join(f"{name}={value}" for name, value in row["settings"].items())
        table.add_row(str(number), settings, microseconds(row["us"]), f"{row['us'] / numbered[0]['us']:.3f}")
    notes = [f"{len(numbered)} of {data['points']} points have a number"]
    if data["ties_with_best"] > 1:
        notes.append(f"the first {data['ties_with_best']} are a tie: the model cannot tell them apart")
    reasons: dict[str, int] = {}
    for row in data["rows"]:
        if row["us"] is None:
            reason = "hopeless, not tried" if row["hopeless"] else row["failure"] or row["why"]
            reasons[reason] = reasons.get(reason, 0) + 1
    notes += [f"{count} without: {reason}" for reason, count in sorted(reasons.items())]
    return rendered(*([table] if numbered else []), *notes)
