"""Markdown tables from data: whatever a cell holds, it stays one cell."""

from collections.abc import Iterable, Sequence

_LONGEST = 160


def cell(text: str, longest: int = _LONGEST) -> str:
    """One line without anything that ends a cell, opens code or HTML, or mentions a person."""
    line = " ".join(text.split())
    if len(line) > longest:
        line = line[: longest - 1].rstrip() + "…"
    line = line.replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`")
    return line.replace("<", "&lt;").replace("@", "@\u200b")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [f"| {' | '.join(head)} |", "|" + "|".join("-" * (len(title) + 2) for title in head) + "|"]
    return lines + [f"| {' | '.join(cell(value) for value in row)} |" for row in rows]


def figure(value: float | None, unit: str = "") -> str:
    """A number with three digits behind the point; `--` where there is none."""
    return "--" if value is None else f"{value:.3f}{unit}"
