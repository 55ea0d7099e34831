"""Pictures of more than one run: two champions' lines on one axis where they may share it, and a small one each."""

from collections.abc import Sequence
from typing import Any

from cairn.report.canvas import Size, colour, scale_costs, svg
from cairn.report.rows import Run
from cairn.report.summary import champion_line

_COLOURS = ("accent", "second")
_WIDE, _SMALL = Size(10.4, 3.9), Size(3.7, 1.5, 7.5)


def comparable(first: Run, second: Run) -> list[str]:
    """Why two runs may not share an axis: what of problem, shape, target and kind of cost differs; empty if nothing."""
    pairs = {
        "problem": (first.problem, second.problem),
        "headline shape": (first.shape, second.shape),
        "target": (first.target, second.target),
        "kind of cost": (first.kind, second.kind),
    }
    return [
        f"{name}: {mine or 'none'} and {theirs or 'none'}"
        for name, (mine, theirs) in pairs.items()
        if mine != theirs
    ]


def overlay_svg(runs: Sequence[Run], name: str = "overlay", size: Size = _WIDE) -> str:
    """The champions' lines of runs that are comparable."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for number, run in enumerate(runs):
            _line(axes, run, colour(_COLOURS[number % 2]), label=f"{'AB'[number % 2]}: champion", width=2.2)
            costs = [
                (at, each.us)
                for at, each in enumerate(run.attempts, start=1)
                if each.us is not None and each.kind == run.kind
            ]
            if costs:
                paint_with, marker = colour(_COLOURS[number % 2]), "os"[number % 2]
                axes.scatter(
                    *zip(*costs, strict=True),
                    s=16,
                    marker=marker,
                    color=paint_with,
                    alpha=0.5,
                    label=f"{'AB'[number % 2]}: attempts",
                )
        floor = next((run.target_us for run in runs if run.target_us), None)
        if floor:
            axes.axhline(
                floor, color=colour("floor"), linewidth=1.1, linestyle=(0, (4, 2)), label="floor to aim at"
            )
        _finish(axes, runs)
        axes.set_xlabel("attempt")
        axes.set_ylabel(f"{runs[0].kind} cost, µs of one call")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncol=2 if size.narrow else 5, borderaxespad=0.2)

    return svg(name, f"Champions of {' and '.join(run.name for run in runs)} in {runs[0].kind} cost", size, paint)


def small_svg(run: Run, name: str) -> str:
    """A run at a glance: its champion's line and its attempts."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        costs = [
            (at, each.us)
            for at, each in enumerate(run.attempts, start=1)
            if each.us is not None and each.kind == run.kind
        ]
        if costs:
            axes.scatter(*zip(*costs, strict=True), s=8, color=colour("discard"))
        _line(axes, run, colour("accent"), label="", width=1.6)
        _finish(axes, [run])
        axes.set_ylabel(f"{run.kind} µs")

    return svg(name, f"Champion of {run.name} by attempt, {run.kind} cost", _SMALL, paint)


def _line(axes: Any, run: Run, paint_with: str, *, label: str, width: float) -> None:
    line = champion_line(run)
    if line:
        places = [at for at, _ in line] + [max(len(run.attempts), 1)]
        axes.step(
            places,
            [us for _, us in line] + [line[-1][1]],
            where="post",
            color=paint_with,
            linewidth=width,
            label=label,
        )


def _finish(axes: Any, runs: Sequence[Run]) -> None:
    axes.xaxis.get_major_locator().set_params(integer=True)
    values = [
        us
        for run in runs
        for us in [*(us for _, us in champion_line(run)), *(each.us for each in run.attempts if each.us)]
    ]
    scale_costs(axes, values, room=(1.2, 1.3))
