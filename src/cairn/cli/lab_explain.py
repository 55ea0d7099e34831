"""`cairn lab explain` and `brief`: a profile as text and data, and as files that draw it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from cairn.cli.lab_subjects import Wish, stated_floors
from cairn.cli.tables import rendered
from cairn.lab import chip
from cairn.lab.brief import Brief, brief
from cairn.lab.profile import KernelProfile, Profile, profile
from cairn.lab.timeline import trace_events

_MOST_LINES = 15


def explained(wish: Wish, target: str) -> tuple[Profile, Brief]:
    """Profile and brief of the wish's subject on a target."""
    with wish.bench(target) as bench:
        found = profile(bench, wish.subject)
    return found, brief(found, stated_floors(wish, target))


def explain_data(found: Profile, short: Brief) -> dict[str, Any]:
    """Everything, for scripts."""
    kernels = [
        {
            "name": kernel.name,
            "cycles": kernel.cycles,
            "causes": dict(kernel.causes),
            "lines": [
                {"place": line.place, "cycles": line.total, "causes": dict(line.cycles)} for line in kernel.lines
            ],
            "units": dict(kernel.units),
            "copies": [asdict(use) for use in kernel.copies],
            "executed_spills": kernel.executed_spills,
            "executed_fills": kernel.executed_fills,
            "facts": asdict(kernel.facts),
        }
        for kernel in found.kernels
    ]
    return {**found.answer.as_data(), "brief": short.as_data(), "kernels": kernels}


def explain_text(found: Profile, short: Brief) -> str:
    """The hot lines of every kernel, then the brief."""
    parts: list[Any] = [_hot_lines(kernel) for kernel in found.kernels if kernel.lines]
    notes = [
        f"{found.answer.target}: {flag}"
        for flag in (found.answer.prediction.flags if found.answer.prediction else ())
    ]
    failure = found.answer.failure
    if failure is not None:
        notes += [
            f"    {failure.line}" + (f", {failure.source}" if failure.source else ""),
            f"    fix: {failure.hint}",
        ]
    return rendered(*parts, short.as_markdown().rstrip(), *notes)


def _hot_lines(kernel: KernelProfile) -> Table:
    causes = list(kernel.causes)
    title = f"{kernel.name}: {kernel.cycles:,} cycles of one execution"
    table = Table("line", "cycles", "share", *causes, title=title)
    for line in kernel.lines[:_MOST_LINES]:
        cells = [f"{line.cycles[cause]:,.0f}" if line.cycles.get(cause) else "" for cause in causes]
        place = line.place.rpartition("/")[2]
        table.add_row(place, f"{line.total:,.0f}", f"{line.total / max(kernel.cycles, 1):.1%}", *cells)
    if len(kernel.lines) > _MOST_LINES:
        rest = sum(line.total for line in kernel.lines[_MOST_LINES:])
        table.add_row(
            f"{len(kernel.lines) - _MOST_LINES} more", f"{rest:,.0f}", f"{rest / max(kernel.cycles, 1):.1%}"
        )
    return table


def ready_to_draw(options: Mapping[str, Any]) -> None:
    """Say before the work begins that a page cannot be drawn.

    Raises:
        Missing: the packages that draw pages are not installed.
    """
    if options["html"]:
        from cairn.cli.report_extra import require_report_extra

        require_report_extra()


def draw(found: Profile, short: Brief, options: Mapping[str, Any]) -> None:
    """Write the files that were asked for, of a profile that has something to draw."""
    if not found.kernels or options["dry_run"]:
        return
    if options["perfetto"]:
        write_trace(found, options["perfetto"])
    if options["html"]:
        from cairn.cli.lab_page import write_page

        write_page(found, short, options["html"])


def draw_best(wish: Wish, ranked: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """The files that were asked for, of the best point of a sweep."""
    best = next((row for row in ranked["rows"] if row["us"] is not None), None)
    if best is None or options["dry_run"] or not (options["html"] or options["perfetto"]):
        return
    chosen = replace(wish, subject=wish.subject.with_settings(best["settings"]))
    draw(*explained(chosen, ranked["target"]), options)


def write_trace(found: Profile, path: Path) -> None:
    """The timelines in the format that Perfetto reads."""
    compiled = found.answer.compiled
    assert compiled is not None
    trace = trace_events(found.timelines, compiled.dump, chip.load(found.answer.target))
    path.write_text(json.dumps(trace), encoding="utf-8")
