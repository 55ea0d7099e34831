"""The page of one run: the claim first, then the picture, the lineage, every attempt, and what it all cost."""

from markupsafe import Markup

from cairn.report import words
from cairn.report.climb_plot import NARROW, climb_svg, kinds_of
from cairn.report.components import (
    Cell,
    Column,
    Tile,
    Tone,
    bullets,
    facts,
    joined,
    notice,
    paragraph,
    picture,
    table,
    tiles,
)
from cairn.report.embed import fitted, spans_by_attempt
from cairn.report.ideas import ideas_of
from cairn.report.inert import inert_row, one_line
from cairn.report.lineage import lineage_tree
from cairn.report.page import Page, Section, environment, render_page
from cairn.report.rows import Attempt, Report, Run
from cairn.report.summary import Summary, summarise

TONES: dict[str, Tone] = {
    "KEEP": "keep",
    "DISCARD": "discard",
    "INCONCLUSIVE": "inconclusive",
    "INVALID": "invalid",
    "CRASH": "crash",
}
STATES: dict[str, Tone] = {"running": "accent", "stopped": "warning", "ended": "keep", "empty": "muted"}
ATTEMPT_PLACE = Markup(
    '<noscript><p class="notice note">Single attempts need scripts; everything else on this page does not.</p>'
    '</noscript><div id="attempt-place"></div>'
)
_HYPOTHESIS_CHARS, _WORD_CHARS = 140, 40
_ALWAYS = 4  # columns that stand even when they are empty


def run_page(report: Report) -> str:
    """The file of a report with one run."""
    report = inert_row(report)
    run = report.runs[0]
    summary = summarise(run)
    carried = fitted(report)
    data = {"cairn-report": carried, "cairn-highlight": spans_by_attempt(carried.runs)}
    return render_page(
        Page(
            title=run.name,
            subtitle=subtitle(run),
            state=run.state,
            state_tone=STATES[run.state],
            sections=_sections(run, summary),
            data=data,
            footer=footer(report),
        )
    )


def subtitle(run: Run) -> str:
    """What was run, for what, and when."""
    what = [run.problem, f"variant {run.variant}" if run.variant else "", run.target, run.shape]
    when = f"{words.moment(run.started)} to {words.moment(run.updated)}" if run.started else ""
    return ", ".join(filter(None, (*what, when)))


def footer(report: Report) -> str:
    """Where the page comes from."""
    files = "; ".join(f"{name} {path}" for run in report.runs for name, path in run.files.items())
    carried = "The numbers are in the element #cairn-report as JSON"
    return f"Written {words.moment(report.written)} by cairn {report.cairn}. {carried}. {files}"


def _sections(run: Run, summary: Summary) -> list[Section]:
    top = joined([_alerts(run), figure_tiles(run, summary), honesty(run, summary)])
    sections = [Section("summary", "Summary", top)]
    if run.attempts and run.one_axis:
        kinds = " and ".join(kinds_of(run)).capitalize()
        caption = f"{kinds} cost of each attempt; point at a mark, or click it to open the attempt."
        pictures = picture(caption, climb_svg(run), climb_svg(run, "climb-narrow", NARROW))
        sections.append(Section("climb", "The climb", pictures))
    if run.attempts and run.source != "judgements":
        sections.append(Section("lineage", "Lineage", lineage_tree(run)))
    if run.attempts:
        sections.append(Section("attempts", "Attempts", joined([attempt_table(run), ATTEMPT_PLACE])))
        if summary.failures:
            sections.append(Section("failures", "What came to nothing, and why", failure_table(summary)))
    sections.append(Section("learnings", "Learnings", _learnings(run)))
    ideas = bullets(ideas_of(run, summary)) if run.attempts else paragraph("Nothing was tried yet.")
    sections.append(Section("next", "What to try next", ideas))
    sections.append(Section("budget", "Budget", _budget(run, summary)))
    sections.append(Section("environment", "Environment", _environment(run)))
    return sections


def _alerts(run: Run) -> Markup:
    return joined(notice(alert.level, alert.text) for alert in run.alerts)


def figure_tiles(run: Run, summary: Summary) -> Markup:
    """The figures one looks for first; each with the words that keep it honest."""
    champion = run.anchor("champion")
    rows = []
    if champion is not None and champion.us is not None:
        spread = f", {words.interval(champion.low_us, champion.high_us)}" if champion.low_us is not None else ""
        note = f"{champion.kind}{spread}; {champion.name}"
        rows.append(Tile("Champion", f"{words.microseconds(champion.us)} µs", note, "accent"))
    if summary.claim is not None:
        claim = summary.claim
        spread = f", {words.times(claim.low)} to {words.times(claim.high)}" if claim.low and claim.high else ""
        tone: Tone = "keep" if claim.times > 1 else "muted"
        note = f"{claim.kind}{spread}; {claim.against}"
        rows.append(Tile("Against the baseline", words.times(claim.times), note, tone))
    if summary.of_floor is not None:
        note = f"{words.microseconds(run.target_us)} µs, set by {run.bound_by or 'the chip'}"
        rows.append(Tile("Of the floor to aim at", words.percent(summary.of_floor), note))
    counted = ", ".join(f"{number} {name.lower()}" for name, number in summary.verdicts.items())
    rows.append(Tile("Attempts", str(len(run.attempts)), counted or "none is done yet"))
    rows.append(Tile("State", run.state, run.phase or run.reason.replace("_", " "), STATES[run.state]))
    return tiles(rows)


def honesty(run: Run, summary: Summary) -> Markup:
    """What stands behind the claim, always beside it: kind, margin, calibration, least effect, confirmation."""
    return Markup(environment().get_template("honesty.html.j2").render(run=run, claim=summary.claim))


def attempt_table(run: Run, number: int = 0, name: str = "attempt-table") -> Markup:
    """Every attempt of a run, one row each; `number`: which run of the page it is."""
    columns = [
        Column("attempt"),
        Column("verdict", choose=True),
        Column("decision", choose=True),
        Column("reason", choose=True),
        Column("reported gain" if run.source == "rounds" else f"{run.kind} µs", number=True),
        Column("interval", number=True),
        Column("ratio", number=True, hint="cost over the incumbent's, over all bench shapes"),
        Column("agent", choose=True),
        Column("lineage", choose=True),
        Column("hypothesis", text=True),
        Column("judged", number=True, hint="time the judgement took"),
    ]
    rows = [_attempt_cells(each, run, number) for each in run.attempts]
    wanted = [
        at < _ALWAYS or any(row[at].text not in ("", words.DASH) for row in rows) for at in range(len(columns))
    ]
    columns = [column for column, each in zip(columns, wanted, strict=True) if each]
    rows = [[cell for cell, each in zip(row, wanted, strict=True) if each] for row in rows]
    return table(name, f"Attempts of {one_line(run.name)}", columns, rows)


def _attempt_cells(attempt: Attempt, run: Run, number: int) -> list[Cell]:
    cost = words.microseconds(attempt.us)
    if attempt.us is None and attempt.speedup is not None:
        cost = words.times(attempt.speedup)
    elif attempt.us is not None and attempt.kind != run.kind:
        cost = f"{cost} {attempt.kind}"
    return [
        Cell(attempt.id, href=f"#attempt-{number}-{attempt.id}"),
        Cell(attempt.verdict, tone=TONES.get(attempt.verdict, "muted"), badge=True),
        Cell(one_line(attempt.decision or attempt.phase, _WORD_CHARS)),
        Cell(one_line(attempt.reason or attempt.failure, _WORD_CHARS)),
        Cell(cost, attempt.us if attempt.us is not None else attempt.speedup),
        Cell(words.interval(attempt.low_us, attempt.high_us), attempt.low_us),
        Cell(words.ratio(attempt.ratio), attempt.ratio),
        Cell(one_line(attempt.agent, _WORD_CHARS)),
        Cell(one_line(attempt.lineage, _WORD_CHARS)),
        Cell(one_line(attempt.hypothesis, _HYPOTHESIS_CHARS)),
        Cell(words.duration(attempt.judge_s), attempt.judge_s),
    ]


def failure_table(summary: Summary) -> Markup:
    """Reasons with their counts, most frequent first."""
    columns = [
        Column("verdict"),
        Column("reason"),
        Column("attempts", number=True),
        Column("time", number=True),
        Column("for example", text=True),
    ]
    rows = [
        [
            Cell(each.verdict, tone=TONES.get(each.verdict, "muted"), badge=True),
            Cell(each.reason),
            Cell(str(each.count), each.count),
            Cell(words.duration(each.seconds), each.seconds),
            Cell(one_line(each.example)),
        ]
        for each in summary.failures
    ]
    return table("failure-table", "Attempts that came to nothing, by reason", columns, rows, search=False)


def _learnings(run: Run) -> Markup:
    if not run.learnings:
        return paragraph("No entry of AGENT.md belongs to this run yet.")
    columns = [
        Column("id"),
        Column("title", text=True),
        Column("status", choose=True),
        Column("from this run", choose=True),
    ]
    rows = [
        [each.id, each.title, each.status, "gained" if each.gained else "known before"] for each in run.learnings
    ]
    return table("learning-table", "Learnings", columns, rows, search=len(rows) > 8)


def _budget(run: Run, summary: Summary) -> Markup:
    spent = summary.spent
    lost = f"{words.duration(spent.lost_s)} in {words.plural(spent.lost_attempts, 'attempt')}"
    read, cached, written = (
        words.count(each) for each in (spent.input_tokens, spent.cached_input_tokens, spent.output_tokens)
    )
    priced = f"{words.money(spent.cost_usd)} over {words.plural(spent.priced_attempts, 'priced attempt')}"
    rows = [
        ("Editing", words.duration(spent.agent_s)),
        ("Judging", words.duration(spent.judge_s)),
        ("Lost to failures of agents and machines", lost),
        ("Tokens", f"{read} in ({cached} cached), {written} out"),
        ("Money", priced if spent.cost_usd is not None else "no attempt has a price"),
        ("Launches", str(run.launches)),
    ]
    meters = environment().get_template("budget.html.j2").render(limits=run.budget)
    return joined([Markup(meters), facts(rows)])


def _environment(run: Run) -> Markup:
    rows = [("Branch", run.branch), ("Began at", run.base), *run.environment.items()]
    margins = ", ".join(f"{name} {words.percent(value)}" for name, value in run.margins.items())
    rows.append(("Margins that count", margins))
    rows.append(("Environments seen", str(run.environments)))
    return facts((term, value) for term, value in rows if value)
