"""Two runs side by side: what differs between them, who came further, and at what price."""

from collections.abc import Callable

from markupsafe import Markup

from cairn.report import words
from cairn.report.canvas import Size
from cairn.report.climb_plot import NARROW, climb_svg
from cairn.report.components import Cell, Column, folded, joined, notice, paragraph, picture, table
from cairn.report.embed import fitted, spans_by_attempt
from cairn.report.inert import inert_row
from cairn.report.overlay_plot import comparable, overlay_svg
from cairn.report.page import Page, Section, render_page
from cairn.report.rows import Attempt, Report, Run
from cairn.report.run_page import ATTEMPT_PLACE, attempt_table, footer, honesty
from cairn.report.summary import Summary, summarise

Two = tuple[Run, Run]


def compare_page(report: Report) -> str:
    """The file of a report with two runs; the first is A, the second B."""
    report = inert_row(report)
    runs = (report.runs[0], report.runs[1])
    carried = fitted(report)
    return render_page(
        Page(
            title=f"{runs[0].name} and {runs[1].name}",
            subtitle=f"A: {runs[0].files.get('ledger', runs[0].name)}; B: {runs[1].files.get('ledger', runs[1].name)}",
            sections=_sections(runs),
            data={"cairn-report": carried, "cairn-highlight": spans_by_attempt(carried.runs)},
            footer=footer(report),
        )
    )


def _sections(runs: Two) -> list[Section]:
    summaries = (summarise(runs[0]), summarise(runs[1]))
    apart = comparable(*runs)
    warning = (
        notice("warning", f"These costs may not be compared: they differ in {'; '.join(apart)}.")
        if apart
        else Markup()
    )
    claims = joined(
        Markup("<h3>{}: {}</h3>{}").format("AB"[number], run.name, honesty(run, summaries[number]))
        for number, run in enumerate(runs)
    )
    sections = [
        Section("summary", "Side by side", joined([warning, _side_by_side(runs, summaries), claims])),
        Section("climb", "The climbs", _pictures(runs, shared=not apart)),
        Section("same", "Settings that both tried", _same_settings(runs)),
        Section("failures", "What came to nothing", _failures(summaries)),
        Section("environment", "Environment", _environment(runs)),
    ]
    tables = [
        folded(
            f"{'AB'[number]}: {words.plural(len(run.attempts), 'attempt')} of {run.name}",
            attempt_table(run, number, f"attempts-{number}"),
        )
        for number, run in enumerate(runs)
    ]
    sections.insert(2, Section("attempts", "Attempts", joined([*tables, ATTEMPT_PLACE])))
    return sections


def _side_by_side(runs: Two, summaries: tuple[Summary, Summary]) -> Markup:
    rows: list[tuple[str, Callable[[Run, Summary], str]]] = [
        ("problem", lambda run, _: run.problem),
        ("variant", lambda run, _: run.variant),
        ("target", lambda run, _: run.target),
        ("state", lambda run, _: f"{run.state} {run.reason}".strip()),
        ("baseline", lambda run, _: _cost(run, "baseline")),
        ("start", lambda run, _: _cost(run, "start")),
        ("champion", lambda run, _: _cost(run, "champion")),
        (
            "against the baseline",
            lambda _, summary: words.times(summary.claim.times) if summary.claim else words.DASH,
        ),
        ("of the floor", lambda _, summary: words.percent(summary.of_floor)),
        ("attempts", lambda run, _: str(len(run.attempts))),
        ("kept", lambda _, summary: str(len(summary.kept))),
        ("editing", lambda _, summary: words.duration(summary.spent.agent_s)),
        ("judging", lambda _, summary: words.duration(summary.spent.judge_s)),
        ("lost to failures", lambda _, summary: words.duration(summary.spent.lost_s)),
        (
            "tokens in and out",
            lambda _, summary: words.count(summary.spent.input_tokens + summary.spent.output_tokens),
        ),
        ("money", lambda _, summary: words.money(summary.spent.cost_usd)),
    ]
    cells = [[name, *(tell(run, each) for run, each in zip(runs, summaries, strict=True))] for name, tell in rows]
    return table("sides", "Both runs", [Column("fact"), Column("A"), Column("B")], cells, search=False, sort=False)


def _cost(run: Run, label: str) -> str:
    anchor = run.anchor(label)
    if anchor is None or anchor.us is None:
        return words.DASH
    return f"{words.microseconds(anchor.us)} µs {anchor.kind} ({anchor.name})"


def _pictures(runs: Two, *, shared: bool) -> Markup:
    if shared:
        narrow = overlay_svg(runs, "overlay-narrow", Size(4.3, 4.0, 8.0))
        return picture(f"{runs[0].kind.capitalize()} cost; both runs on one axis.", overlay_svg(runs), narrow)
    return joined(
        picture(
            f"{'AB'[number]}: {run.name}, {run.kind}",
            climb_svg(run, f"climb{number}", number=number),
            climb_svg(run, f"climb{number}-narrow", NARROW, number=number),
        )
        for number, run in enumerate(runs)
    )


def _same_settings(runs: Two) -> Markup:
    """Attempts with equal tunables: the same idea, judged twice."""
    known = {_key(each): each for each in runs[0].attempts if each.tunables}
    pairs = [(known[_key(each)], each) for each in runs[1].attempts if each.tunables and _key(each) in known]
    if not pairs:
        return paragraph("No two attempts have the same declared settings.")
    columns = [
        Column("settings", text=True),
        Column("A"),
        Column("A, µs", number=True),
        Column("B"),
        Column("B, µs", number=True),
    ]
    rows = [
        [
            Cell(", ".join(f"{name}={value}" for name, value in mine.tunables.items())),
            *_side(mine, 0),
            *_side(theirs, 1),
        ]
        for mine, theirs in pairs
    ]
    return table("same-table", "Settings that both runs tried", columns, rows, search=len(rows) > 8)


def _side(attempt: Attempt, number: int) -> list[Cell]:
    link = Cell(f"{attempt.id} {attempt.verdict}", href=f"#attempt-{number}-{attempt.id}")
    return [link, Cell(f"{words.microseconds(attempt.us)} {attempt.kind}", attempt.us)]


def _key(attempt: Attempt) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(attempt.tunables.items()))


def _failures(summaries: tuple[Summary, Summary]) -> Markup:
    counts = [{(each.verdict, each.reason): each.count for each in summary.failures} for summary in summaries]
    reasons = sorted({*counts[0], *counts[1]}, key=lambda key: -(counts[0].get(key, 0) + counts[1].get(key, 0)))
    columns = [Column("verdict"), Column("reason"), Column("A", number=True), Column("B", number=True)]
    rows = [
        [verdict, reason, *(str(each.get((verdict, reason), 0)) for each in counts)] for verdict, reason in reasons
    ]
    return (
        table("failure-table", "Reasons in both runs", columns, rows, search=False)
        if rows
        else paragraph("Nothing.")
    )


def _environment(runs: Two) -> Markup:
    names = list(dict.fromkeys([*runs[0].environment, *runs[1].environment]))
    rows: list[list[Cell | str]] = []
    for name in names:
        mine, theirs = (run.environment.get(name, words.DASH) for run in runs)
        rows.append(
            [
                name,
                mine,
                theirs,
                Cell("same" if mine == theirs else "differs", tone="warning", badge=mine != theirs),
            ]
        )
    columns = [Column("fact"), Column("A", text=True), Column("B", text=True), Column("difference")]
    return (
        table("environments", "Environments", columns, rows, search=False, sort=False)
        if rows
        else paragraph("Not known.")
    )
