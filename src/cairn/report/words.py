"""How numbers are written on every surface: three figures, a unit, and never a predicted one without the word."""

from collections.abc import Mapping
from datetime import datetime

DASH = "–"
_MINUTE, _HOUR = 60, 3600


def microseconds(value: float | None) -> str:
    """A cost without its unit: one decimal below a thousand, none above."""
    if value is None:
        return DASH
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def interval(low: float | None, high: float | None) -> str:
    """Both ends of an interval of microseconds."""
    return DASH if low is None or high is None else f"{microseconds(low)} to {microseconds(high)}"


def times(value: float | None) -> str:
    """A factor such as 8.34×."""
    return DASH if value is None else f"{value:.2f}×" if value < 100 else f"{value:,.0f}×"


def percent(value: float | None, digits: int = 0) -> str:
    """A share."""
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def ratio(value: float | None) -> str:
    """A ratio of costs with three decimals."""
    return DASH if value is None else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return DASH
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"


def money(value: float | None) -> str:
    """US dollars."""
    return DASH if value is None else f"${value:,.2f}" if value >= 0.01 or value == 0 else f"${value:.4f}"


def calibration(figures: Mapping[str, float | str]) -> str:
    """A/A figures in a row; what is a share is written as one."""
    shares = ("threshold", "false_keep_bound", "least_detectable_effect")
    told = []
    for name, value in figures.items():
        share = isinstance(value, int | float) and (name in shares or name.startswith("spread"))
        shown = percent(float(value), 2) if share else f"{value:.4g}" if isinstance(value, int | float) else value
        told.append(f"{name.replace('_', ' ')} {shown}")
    return ", ".join(told)


def count(value: float | None) -> str:
    """A whole number with separators."""
    return DASH if value is None else f"{value:,.0f}"


def moment(text: str) -> str:
    """An ISO time as date and minute in UTC; the text itself when it is none."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return text or DASH


def plural(number: int, noun: str) -> str:
    """`1 attempt`, `2 attempts`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
