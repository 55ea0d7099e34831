"""Many runs on one page: a card each, and one table to sort them by."""

import msgspec
from markupsafe import Markup

from cairn.report import words
from cairn.report.components import Cell, Column, Tile, joined, paragraph, table, tiles
from cairn.report.embed import fitted
from cairn.report.inert import inert_row, one_line
from cairn.report.overlay_plot import small_svg
from cairn.report.page import Page, Section, environment, render_page
from cairn.report.rows import Report, Run
from cairn.report.run_page import STATES, footer
from cairn.report.summary import Summary, summarise

_DRAWN = 60


def gallery_page(report: Report, folder: str) -> str:
    """The file of a report with any number of runs; single attempts are in the runs' own pages."""
    report = inert_row(report)
    rows = [(run, summarise(run)) for run in report.runs]
    carried = fitted(msgspec.structs.replace(report, runs=[_without_details(run) for run in report.runs]))
    sections = [Section("summary", "Summary", _figures(rows))]
    if rows:
        sections.append(Section("runs", "Runs", _table(rows)))
        sections.append(Section("cards", "At a glance", _cards(rows[:_DRAWN])))
    return render_page(
        Page(
            title=f"{words.plural(len(rows), 'run')} in {one_line(folder, 80)}",
            subtitle="Costs of different problems, shapes, targets or kinds cannot be compared; each row says its own.",
            sections=sections,
            data={"cairn-report": carried},
            footer=footer(msgspec.structs.replace(report, runs=[])),
        )
    )


def _without_details(run: Run) -> Run:
    slim = [
        msgspec.structs.replace(each, diff="", transcript=[], receipt=None, diff_left_out=0, transcript_left_out=0)
        for each in run.attempts
    ]
    return msgspec.structs.replace(run, attempts=slim)


def _figures(rows: list[tuple[Run, Summary]]) -> Markup:
    if not rows:
        return paragraph("There is no run here yet.")
    attempts = sum(len(run.attempts) for run, _ in rows)
    kept = sum(len(summary.kept) for _, summary in rows)
    spent = sum(summary.spent.agent_s + summary.spent.judge_s for _, summary in rows)
    money = [summary.spent.cost_usd for _, summary in rows if summary.spent.cost_usd is not None]
    running = sum(run.state == "running" for run, _ in rows)
    return tiles(
        [
            Tile("Runs", str(len(rows)), f"{running} running"),
            Tile("Attempts", words.count(attempts), f"{kept} kept"),
            Tile("Editing and judging", words.duration(spent)),
            Tile("Money", words.money(sum(money)) if money else words.DASH, "as far as attempts have a price"),
        ]
    )


def _table(rows: list[tuple[Run, Summary]]) -> Markup:
    columns = [
        Column("run"),
        Column("state", choose=True),
        Column("problem", choose=True),
        Column("target", choose=True),
        Column("kind", choose=True),
        Column("champion µs", number=True),
        Column("against baseline", number=True),
        Column("of floor", number=True),
        Column("attempts", number=True),
        Column("kept", number=True),
        Column("money", number=True),
        Column("last act"),
    ]
    return table("run-table", "Runs", columns, [_cells(run, summary) for run, summary in rows])


def _cells(run: Run, summary: Summary) -> list[Cell]:
    champion, claim = run.anchor("champion"), summary.claim
    us = champion.us if champion else None
    return [
        Cell(one_line(run.name, 60), href=run.files.get("report", "")),
        Cell(run.state, tone=STATES[run.state], badge=True),
        Cell(one_line(run.problem, 50)),
        Cell(one_line(run.target, 40)),
        Cell(run.kind),
        Cell(words.microseconds(us), us),
        Cell(words.times(claim.times) if claim else words.DASH, claim.times if claim else None),
        Cell(words.percent(summary.of_floor), summary.of_floor),
        Cell(str(len(run.attempts)), len(run.attempts)),
        Cell(str(len(summary.kept)), len(summary.kept)),
        Cell(words.money(summary.spent.cost_usd), summary.spent.cost_usd),
        Cell(words.moment(run.updated), run.updated),
    ]


def _cards(rows: list[tuple[Run, Summary]]) -> Markup:
    cards = [
        {
            "run": run,
            "claim": summary.claim,
            "svg": Markup(small_svg(run, f"small{number}")),
            "tone": STATES[run.state],
        }
        for number, (run, summary) in enumerate(rows)
        if run.attempts and run.one_axis
    ]
    markup = Markup(environment().get_template("cards.html.j2").render(cards=cards))
    left = len([run for run, _ in rows if not run.attempts or not run.one_axis])
    text = f"{words.plural(left, 'run')} without attempts, or with costs that cannot share an axis."
    return joined([markup, paragraph(text)]) if left else markup
