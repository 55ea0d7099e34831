"""Where pictures are drawn: the only module that knows matplotlib.

A picture is painted once with colours that are names. In a page they become variables of its style sheet, so that one
picture serves both themes; in a file of its own they get values, with a dark set beside the light one.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

# role -> (what is painted with, light, dark); the first is never seen. Light and dark both keep 3:1 on their ground.
ROLES = {
    "ink": ("#010101", "#1f2328", "#e6e9ee"),
    "muted": ("#010102", "#59636e", "#9aa4b0"),
    "grid": ("#010103", "#d8dee4", "#30363d"),
    "ground": ("#010104", "#ffffff", "#14181d"),
    "accent": ("#010105", "#0b63c4", "#6cb0ff"),
    "keep": ("#010106", "#0a7f53", "#3ecf97"),
    "discard": ("#010107", "#5b7083", "#93a7ba"),
    "inconclusive": ("#010108", "#a86200", "#e3a33f"),
    "invalid": ("#010109", "#c4281b", "#ff8178"),
    "crash": ("#01010a", "#8a3ab9", "#cf9bf2"),
    "floor": ("#01010b", "#b3261e", "#ff9a8f"),
    "second": ("#01010c", "#b4570c", "#f0a35e"),
}
_LIGHT, _DARK = 1, 2
_LOG_FROM = 4.0
_FONT = "DejaVu Sans"  # it comes with matplotlib; pages use their own
_LINK = re.compile(r'<a xlink:href="#([^"]*)"[^>]*>')
_NUMBER = re.compile(r"(?<=[ \"ML])(-?\d+\.\d{3,})")


@dataclass(frozen=True)
class Size:
    """Inches, and the size of the text in points."""

    width: float
    height: float
    text: float = 9.0

    @property
    def narrow(self) -> bool:
        return self.width < 5.5


Paint = Callable[[Figure], None]


def colour(role: str) -> str:
    """The colour to paint a role with."""
    return ROLES[role][0]


def svg(name: str, title: str, size: Size, paint: Paint, *, standalone: bool = False) -> str:
    """Paint a picture as SVG text.

    Args:
        name: unique in its page; ids inside begin with it.
        title: what a screen reader says instead of the picture.
        standalone: a file of its own, with both themes inside, instead of a part of a page.
    """
    stream = io.StringIO()
    with matplotlib.rc_context(_settings(size, name)):  # type: ignore[arg-type]
        figure = _figure(size, paint)
        canvas: Any = FigureCanvasSVG(figure)  # its printers have no types
        canvas.print_svg(stream, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _dressed(stream.getvalue(), name, title, standalone=standalone)


def png(size: Size, paint: Paint, *, dark: bool = False, dots_per_inch: int = 160) -> bytes:
    """Paint a picture as PNG bytes in one theme."""
    column = _DARK if dark else _LIGHT
    seen = {painted: row[column] for row in ROLES.values() for painted in (row[0],)}
    stream = io.BytesIO()
    with matplotlib.rc_context(_settings(size, "png")):  # type: ignore[arg-type]
        figure = _figure(size, paint)
        _recolour(figure, seen)
        figure.set_dpi(dots_per_inch)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(stream)
    return stream.getvalue()


def _settings(size: Size, salt: str) -> dict[str, Any]:
    ink, muted, grid = (colour(role) for role in ("ink", "muted", "grid"))
    return {
        "text.parse_math": False,
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "font.family": [_FONT],
        "font.size": size.text,
        "axes.edgecolor": grid,
        "axes.labelcolor": muted,
        "axes.titlecolor": ink,
        "axes.titlesize": size.text,
        "axes.titlelocation": "left",
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": grid,
        "grid.linewidth": 0.6,
        "figure.facecolor": "none",
        "xtick.color": muted,
        "ytick.color": muted,
        "text.color": ink,
        "legend.frameon": False,
        "legend.labelcolor": ink,
        "legend.fontsize": size.text,
        "path.simplify": True,
        "axes.unicode_minus": False,
    }


def _figure(size: Size, paint: Paint) -> Figure:
    figure = Figure(figsize=(size.width, size.height), layout="constrained")
    paint(figure)
    return figure


def _dressed(text: str, name: str, title: str, *, standalone: bool) -> str:
    """Names instead of painted colours, a title, no links, ids that are this picture's own."""
    text = text[text.index("<svg") :]
    for role, (painted, _, _) in ROLES.items():
        text = text.replace(painted, f"var(--{role})")
    text = _LINK.sub(lambda match: f'<g class="pt" data-attempt="{match[1]}">', text).replace("</a>", "</g>")
    text = _NUMBER.sub(lambda match: f"{float(match[1]):.2f}", text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\1{name}-", text)
    text = re.sub(r"\n\s*", "\n", text).replace("stroke-linecap: square", "stroke-linecap: round")
    start, rest = text.split(">", 1)
    heading = f'<title id="{name}-title">{escape(title)}</title>'
    rest = rest.replace(f"'{_FONT}'", "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif")
    return f'{start} role="img" aria-labelledby="{name}-title">{heading}{_themes() if standalone else ""}{rest}'.strip()


def _themes() -> str:
    def values(column: int) -> str:
        return ";".join(f"--{role}:{row[column]}" for role, row in ROLES.items())

    plain = f"svg{{{values(_LIGHT)};background:var(--ground)}}"
    return f"<style>{plain}@media(prefers-color-scheme:dark){{svg{{{values(_DARK)}}}}}</style>"


def scale_costs(axes: Any, values: Sequence[float], room: tuple[float, float] = (1.35, 1.9)) -> None:
    """Give an axis of costs its scale: logarithmic when they lie far apart, from zero otherwise."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) > _LOG_FROM * min(positive):
        axes.set_yscale("log")
        axes.set_ylim(min(positive) / room[0], max(positive) * room[1])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    elif positive:
        axes.set_ylim(0, max(positive) * 1.2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}")


def theme_css(column: str) -> str:
    """The roles as variables of a style sheet. `column`: light or dark."""
    at = _DARK if column == "dark" else _LIGHT
    return ";".join(f"--{role}:{row[at]}" for role, row in ROLES.items())


def _recolour(figure: Figure, seen: dict[str, str]) -> None:
    """Give everything painted the colours of one theme."""
    ground = colour("ground")
    figure.set_facecolor(seen[ground])
    for artist in figure.findobj():
        for getter, setter in (
            ("get_color", "set_color"),
            ("get_facecolor", "set_facecolor"),
            ("get_edgecolor", "set_edgecolor"),
        ):
            if hasattr(artist, getter) and hasattr(artist, setter):
                _recolour_one(artist, getter, setter, seen)


def _recolour_one(artist: Any, getter: str, setter: str, seen: dict[str, str]) -> None:
    current = to_rgba_array(getattr(artist, getter)())
    if len(current) == 0:
        return
    mapped = [
        (*to_rgba_array(seen[to_hex(row)])[0][:3], row[3]) if to_hex(row) in seen else tuple(row)
        for row in current
    ]
    if mapped != [tuple(row) for row in current]:
        getattr(artist, setter)(mapped[0] if len(mapped) == 1 else mapped)
