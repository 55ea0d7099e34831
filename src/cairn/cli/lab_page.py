"""A profile as one page: the timeline of core, units and copies, the hot lines, and what to try."""

from pathlib import Path

from markupsafe import Markup, escape

from cairn.cli.report_extra import require_report_extra
from cairn.lab import chip
from cairn.lab.brief import Brief
from cairn.lab.facts import UNITS
from cairn.lab.profile import KernelProfile, Profile
from cairn.lab.timeline import ISSUE_TRACK, WAIT_TRACK, Timeline, tracks_of, unit_use

_WIDTH, _LEFT, _ROW, _GAP = 1200, 150, 18, 4
_MOST_LINES, _MOST_TRACKS = 25, 24
_ROLES = ("accent", "keep", "second", "inconclusive", "crash", "discard")  # theme colours for source lines


def write_page(found: Profile, short: Brief, path: Path) -> None:
    """Write the page.

    Raises:
        Missing: the packages that draw pages are not installed.
    """
    require_report_extra()
    from cairn.report.components import Column, bullets, facts, joined, paragraph, picture, table
    from cairn.report.page import Page, Section, render_page

    changes = [f"{change.title} (at most {change.gain_us:,.1f} us): {change.evidence}" for change in short.changes]
    floors = [(name, f"{us:,.1f} us") for name, us in (short.floors or {}).items()]
    parts = [
        facts([("bottleneck", short.bottleneck), *floors]),
        paragraph("Try, most promising first:"),
        bullets(changes or ["nothing that the model could resolve"]),
        paragraph("Do not try:"),
        bullets(short.futile or ["no cause is too small to matter"]),
    ]
    sections = [Section("brief", "In short", joined(parts))]
    compiled = found.answer.compiled
    for index, kernel in enumerate(found.kernels[:4]):
        timeline = found.timelines[kernel.name]
        slots = compiled.dump.utilisation.get(kernel.name, "") if compiled else ""
        caption = f"{kernel.name}: {'all' if timeline.is_whole else 'the start'} of one execution"
        drawn = picture(caption, _svg(timeline, slots, chip.load(found.answer.target).cycles_per_us))
        columns = [Column("line"), Column("cycles", number=True), Column("share", number=True), Column("causes")]
        lines = table(f"lines-{index}", f"Hot lines of {kernel.name}", columns, _line_cells(kernel), sort=False)
        sections.append(Section(f"kernel-{index}", kernel.name, joined([drawn, lines])))
    page = Page(
        title=f"{short.subject} on {short.target}",
        subtitle=f"{short.us:,.1f} us predicted ({short.low_us:,.1f} to {short.high_us:,.1f}), never measured",
        sections=sections,
        data={"brief": short.as_data()},
        footer=", ".join(f"{name} {version}" for name, version in found.answer.as_data()["versions"].items()),
    )
    path.write_text(render_page(page), encoding="utf-8")


def _line_cells(kernel: KernelProfile) -> list[list[str]]:
    rows = []
    for line in kernel.lines[:_MOST_LINES]:
        causes = ", ".join(f"{cause} {cycles:,.0f}" for cause, cycles in line.cycles.items())
        share = line.total / max(kernel.cycles, 1)
        rows.append([line.place.rpartition("/")[2], f"{line.total:,.0f}", f"{share:.1%}", causes])
    return rows


def _svg(timeline: Timeline, slots: str, cycles_per_us: float) -> str:
    """Bars by track; below them, for each unit, how full its slots were."""
    tracks = tracks_of(timeline)[:_MOST_TRACKS]
    units = unit_use(timeline, slots)
    height = (len(tracks) + len(units)) * (_ROW + _GAP) + 40
    scale = (_WIDTH - _LEFT) / max(timeline.end, 1.0)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="timeline" font-size="11" fill="var(--ink)">'
    ]
    tops = {track: index * (_ROW + _GAP) for index, track in enumerate(tracks)}
    parts += [_label(track, top) for track, top in tops.items()]
    colours: dict[str, str] = {}
    for span in timeline.spans:
        if span.track in tops and span.start < timeline.end:
            left, right = _LEFT + span.start * scale, _LEFT + min(span.end, timeline.end) * scale
            colour = _colour(span.track, span.name, colours)
            us = (span.end - span.start) / cycles_per_us
            title = escape(f"{span.name}, {us:.3f} us" + (f", {span.times} times" if span.times > 1 else ""))
            parts.append(_bar(left, tops[span.track], right - left, colour, 1.0, title))
    for index, (unit, uses) in enumerate(units.items()):
        top = (len(tracks) + index) * (_ROW + _GAP)
        parts.append(_label(UNITS[unit], top))
        wide = (_WIDTH - _LEFT) / len(uses)
        for place, use in enumerate(uses):
            if use > 0.01:
                title = escape(f"{UNITS[unit]}: {use:.0%} of its slots")
                parts.append(_bar(_LEFT + place * wide, top, wide, "accent", 0.15 + 0.85 * use, title))
    parts += _axis(timeline.end / cycles_per_us, height)
    return "".join([*parts, "</svg>"])


def _label(text: str, top: float) -> str:
    return f'<text x="{_LEFT - 6}" y="{top + _ROW - 5}" text-anchor="end">{escape(text)}</text>'


def _bar(left: float, top: float, width: float, role: str, strength: float, title: Markup) -> str:
    return (
        f'<rect x="{left:.2f}" y="{top}" width="{max(width, 0.4):.2f}" height="{_ROW}" fill="var(--{role})" '
        f'fill-opacity="{strength:.2f}"><title>{title}</title></rect>'
    )


def _colour(track: str, name: str, colours: dict[str, str]) -> str:
    """One colour for each source line on the core's track; waits and copies have their own."""
    if track == WAIT_TRACK:
        return "invalid"
    if track != ISSUE_TRACK:
        return "keep" if "in" in track else "second"
    return colours.setdefault(name, _ROLES[len(colours) % len(_ROLES)])


def _axis(end_us: float, height: float) -> list[str]:
    marks = []
    for tenth in range(11):
        x = _LEFT + (_WIDTH - _LEFT) * tenth / 10
        anchor = {0: "start", 10: "end"}.get(tenth, "middle")
        marks.append(f'<text x="{x:.0f}" y="{height - 8}" text-anchor="{anchor}">{end_us * tenth / 10:.2f}</text>')
    return [*marks, f'<text x="{_LEFT - 6}" y="{height - 8}" text-anchor="end">us, predicted</text>']
