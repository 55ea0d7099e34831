"""The picture of a climb: what each attempt cost, the champion's line, the floors below and the baseline above.

One panel for each kind of cost, each with its own labelled axis: a predicted and a measured number never share one.
"""

from collections.abc import Sequence
from typing import Any

from cairn.report import words
from cairn.report.canvas import Paint, Size, colour, png, scale_costs, svg
from cairn.report.rows import Attempt, Kind, Run
from cairn.report.summary import champion_line, gain_line

WIDE, NARROW = Size(10.4, 4.3), Size(4.3, 4.6, 8.0)
_MARKERS = {"KEEP": "^", "DISCARD": "o", "INCONCLUSIVE": "D", "INVALID": "X", "CRASH": "P", "": "."}
_ROLES = {
    "KEEP": "keep",
    "DISCARD": "discard",
    "INCONCLUSIVE": "inconclusive",
    "INVALID": "invalid",
    "CRASH": "crash",
}
Point = tuple[int, Attempt]


def climb_svg(
    run: Run, name: str = "climb", size: Size = WIDE, *, number: int = 0, standalone: bool = False
) -> str:
    """The picture as SVG. Its marks carry `attempt-NUMBER-ID`: which run of the page, and which attempt."""
    text = svg(name, described(run), _tall(size, run), _paint(run, size), standalone=standalone)
    return text.replace('data-attempt="', f'data-attempt="attempt-{number}-')


def climb_png(run: Run, *, dark: bool = False) -> bytes:
    """The picture as PNG, for places that show no SVG."""
    return png(_tall(WIDE, run), _paint(run, WIDE), dark=dark)


def described(run: Run) -> str:
    """The picture in words."""
    line = champion_line(run)
    how, tried = " and ".join(kinds_of(run)).capitalize(), words.plural(len(run.attempts), "attempt")
    text = f"{how} cost of {tried} of {run.name}."
    if line:
        first, last = (words.microseconds(us) for _, us in (line[0], line[-1]))
        text += f" The champion went from {first} to {last} µs."
    return text + (f" The floor to aim at is {words.microseconds(run.target_us)} µs." if run.target_us else "")


def kinds_of(run: Run) -> list[Kind]:
    """The kinds of cost that a run has, the run's own first."""
    found = {each.kind for each in run.attempts if value_of(each) is not None} | {run.kind}
    return sorted(found, key=lambda kind: kind != run.kind)


def value_of(attempt: Attempt) -> float | None:
    """What is drawn for an attempt: its cost, else a reported gain."""
    return attempt.us if attempt.us is not None else attempt.speedup


def _tall(size: Size, run: Run) -> Size:
    panels = len(kinds_of(run))
    return size if panels == 1 else Size(size.width, size.height * (1 + 0.7 * (panels - 1)), size.text)


def _paint(run: Run, size: Size) -> Paint:
    def paint(figure: Any) -> None:
        kinds = kinds_of(run)
        panels = figure.subplots(len(kinds), 1, squeeze=False, sharex=True)
        for axes, kind in zip(panels[:, 0], kinds, strict=True):
            _panel(axes, run, kind, size)
        panels[-1, 0].set_xlabel("attempt")

    return paint


def _panel(axes: Any, run: Run, kind: Kind, size: Size) -> None:
    points = [(at, each) for at, each in enumerate(run.attempts, start=1) if each.kind == kind or kind == run.kind]
    mine = [(at, each) for at, each in points if each.kind == kind]
    gains = bool(mine) and all(each.us is None for _, each in mine) and any(each.speedup for _, each in mine)
    levels = _levels(run, kind) if not gains else []
    drawn = [value for _, each in mine if (value := value_of(each)) is not None]
    drawn += [value for _, value, _, _ in levels]
    drawn += [end for _, each in mine for end in (each.low_us, each.high_us) if end]
    for label, value, role, style in levels:
        axes.axhline(
            value, color=colour(role), linewidth=1.1, linestyle=style, label=f"{label} {words.microseconds(value)}"
        )
    if kind == run.kind:
        line = gain_line(run) if gains else champion_line(run)
        drawn += [value for _, value in line]
        _champion(axes, run, line)
    _dots(axes, mine, many=len(mine) > 150)
    _without_cost(axes, [(at, each) for at, each in points if value_of(each) is None and each.verdict])
    _axes(axes, run, kind, drawn, gains=gains)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = 2 if size.narrow else 5
        axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1.0), ncol=columns, borderaxespad=0.2)


def _levels(run: Run, kind: Kind) -> list[tuple[str, float, str, Any]]:
    """Horizontal lines: label, microseconds, role of the colour, style."""
    rows: list[tuple[str, float, str, Any]] = []
    baseline = run.anchor("baseline")
    if baseline and baseline.us and baseline.kind == kind:
        rows.append(("baseline", baseline.us, "muted", (0, (6, 3))))
    if run.target_us:
        rows.append(("floor to aim at", run.target_us, "floor", (0, (4, 2))))
    if run.physics_us and run.physics_us != run.target_us:
        rows.append(("physics", run.physics_us, "floor", (0, (1, 2))))
    return rows


def _champion(axes: Any, run: Run, line: Sequence[tuple[int, float]]) -> None:
    if line:
        places = [at for at, _ in line] + [max(len(run.attempts), 1)]
        costs = [us for _, us in line] + [line[-1][1]]
        axes.step(places, costs, where="post", color=colour("accent"), linewidth=2.0, label="champion", zorder=2)
        axes.plot(places[:1], costs[:1], "s", color=colour("accent"), markersize=5, zorder=3)


def _dots(axes: Any, points: Sequence[Point], *, many: bool) -> None:
    for verdict, marker in _MARKERS.items():
        rows = [(at, each) for at, each in points if each.verdict == verdict and value_of(each) is not None]
        if not rows:
            continue
        paint = colour(_ROLES.get(verdict, "muted"))
        bars = [(at, each.low_us, each.high_us) for at, each in rows if each.low_us and each.high_us]
        if bars:
            axes.vlines(
                *zip(*bars, strict=True), color=paint, alpha=0.25 if many else 0.45, linewidth=0.7 if many else 1.4
            )
        places, costs = [at for at, _ in rows], [value_of(each) for _, each in rows]
        size = 14 if many else 44
        label = verdict.lower() or "not judged"
        dots = axes.scatter(places, costs, s=size, marker=marker, color=paint, label=label, zorder=4)
        dots.set_urls([f"#{each.id}" for _, each in rows])


def _without_cost(axes: Any, points: Sequence[Point]) -> None:
    """Attempts that have a verdict but no cost: a row of marks along the upper edge."""
    for verdict, marker in _MARKERS.items():
        rows = [(at, each) for at, each in points if each.verdict == verdict]
        if rows:
            places = [at for at, _ in rows]
            label = f"{verdict.lower()}, no cost"
            dots = axes.scatter(
                places,
                [0.97] * len(places),
                s=30,
                marker=marker,
                color=colour(_ROLES.get(verdict, "muted")),
                label=label,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
                zorder=4,
            )
            dots.set_urls([f"#{each.id}" for _, each in rows])


def _axes(axes: Any, run: Run, kind: Kind, drawn: Sequence[float], *, gains: bool) -> None:
    axes.set_xlim(-0.5, max(len(run.attempts), 1) + 0.7)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(f"{kind} gain over its reference, times" if gains else f"{kind} cost, µs of one call")
    positive = [value for value in drawn if value > 0]
    if gains:
        axes.set_ylim(0, max(positive, default=1.0) * 1.2)
    else:
        scale_costs(axes, drawn)
    if not positive:
        axes.text(0.5, 0.5, "no costs yet", transform=axes.transAxes, ha="center", color=colour("muted"))
