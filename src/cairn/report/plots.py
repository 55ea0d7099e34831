"""Pictures for any page: bars, values with intervals, lines over time. One axis, one unit, one kind of number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cairn.report.canvas import Paint, Size, colour, svg

_WIDTH, _ROW, _HEAD = 10.4, 0.3, 0.75
_SERIES = ("accent", "second", "keep", "crash", "discard", "invalid")
_LABEL_CHARS = 44


@dataclass(frozen=True)
class Bar:
    """One bar, or one dot with an interval. `tone`: a role of the palette."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    tone: str = "accent"


@dataclass(frozen=True)
class Line:
    """One line: its name and its points."""

    name: str
    points: Sequence[tuple[float, float]]
    steps: bool = False


def bars(name: str, title: str, axis: str, rows: Sequence[Bar]) -> str:
    """Horizontal bars, first on top, as SVG. `axis`: what the numbers are, with unit and kind."""
    return svg(name, title, _size(len(rows)), _bars(axis, rows))


def intervals(name: str, title: str, axis: str, rows: Sequence[Bar], reference: float | None = None) -> str:
    """Values with their intervals, first on top; `reference` is a line to compare with, such as 1 for ratios."""
    return svg(name, title, _size(len(rows)), _intervals(axis, rows, reference))


def lines(name: str, title: str, axes: tuple[str, str], rows: Sequence[Line], *, logarithmic: bool = False) -> str:
    """Lines over a common axis. `axes`: labels of x and y."""

    def paint(figure: Any) -> None:
        plot = figure.subplots()
        for number, row in enumerate(rows):
            style = {"drawstyle": "steps-post"} if row.steps else {"marker": "o", "markersize": 3.5}
            paint_with = colour(_SERIES[number % len(_SERIES)])
            plot.plot(*zip(*row.points, strict=True), label=row.name, color=paint_with, linewidth=1.8, **style)
        plot.set_xlabel(axes[0])
        plot.set_ylabel(axes[1])
        if logarithmic:
            plot.set_yscale("log")
            plot.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        if rows:
            plot.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncol=4, borderaxespad=0.2)

    return svg(name, title, Size(_WIDTH, 3.8), paint)


def _size(rows: int) -> Size:
    return Size(_WIDTH, _HEAD + _ROW * max(rows, 1))


def _bars(axis: str, rows: Sequence[Bar]) -> Paint:
    def paint(figure: Any) -> None:
        plot = _rows(figure, axis, rows)
        values, tones = [row.value for row in rows], [colour(row.tone) for row in rows]
        plot.barh(range(len(rows)), values, color=tones, height=0.62)
        for at, row in enumerate(rows):
            plot.annotate(
                f"{row.value:,g}", (row.value, at), xytext=(4, 0), textcoords="offset points", va="center"
            )
        plot.margins(x=0.08)

    return paint


def _intervals(axis: str, rows: Sequence[Bar], reference: float | None) -> Paint:
    def paint(figure: Any) -> None:
        plot = _rows(figure, axis, rows)
        for at, row in enumerate(rows):
            if row.low is not None and row.high is not None:
                plot.hlines(at, row.low, row.high, color=colour(row.tone), linewidth=2.2, alpha=0.5)
            plot.plot([row.value], [at], "o", color=colour(row.tone), markersize=6)
        if reference is not None:
            plot.axvline(reference, color=colour("ink"), linewidth=0.9)

    return paint


def _rows(figure: Any, axis: str, rows: Sequence[Bar]) -> Any:
    plot = figure.subplots()
    plot.grid(axis="y", visible=False)
    plot.grid(axis="x", visible=True)
    plot.set_yticks(range(len(rows)), [_short(row.label) for row in rows])
    plot.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    plot.set_xlabel(axis)
    return plot


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_CHARS else f"{label[: _LABEL_CHARS - 1]}…"
