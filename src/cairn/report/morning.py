"""The morning report: one screen of Markdown for a mail or a comment.

It holds what a person wants to know before the first coffee: what was gained and how sure that is, what was kept,
what came to nothing, what was lost and spent, and what to do next. Secrets, homes and hosts are taken out.
"""

from collections.abc import Sequence

from cairn.report import words
from cairn.report.ideas import ideas_of
from cairn.report.inert import inert_row, one_line
from cairn.report.rows import Run
from cairn.report.summary import Summary, summarise
from cairn.text.redact import redact
from cairn.text.table import cell, table

_KEPT_SHOWN, _FAILURES_SHOWN, _IDEAS_SHOWN = 8, 6, 3


def morning(run: Run, *, picture: str = "", private: tuple[str, ...] = ()) -> str:
    """The report of one run.

    Args:
        picture: address of the climb's picture, shown when it is given.
        private: further words to take out, such as this machine's name.
    """
    run = inert_row(run)
    summary = summarise(run)
    lines = [f"## {cell(run.name)}: {_headline(run, summary)}", "", _standing(run, summary), ""]
    if picture:
        lines += [f"![the climb]({picture})", ""]
    lines += [f"> **{alert.level.capitalize()}.** {cell(alert.text, 300)}\n" for alert in run.alerts]
    lines += [*_anchors(run), "", _doubt(run, summary), ""]
    lines += [*_kept(summary), "", *_failures(summary), ""]
    lines += [*_costs(run, summary), "", "**Next:**", ""]
    ideas = ideas_of(run, summary)[:_IDEAS_SHOWN] if run.attempts else ["Start: nothing was tried yet."]
    lines += [f"- {cell(idea, 240)}" for idea in ideas]
    text, _ = redact("\n".join(lines).rstrip() + "\n", private)
    return text


def _headline(run: Run, summary: Summary) -> str:
    claim = summary.claim
    if claim is None:
        return f"no claim yet ({run.state})"
    if not summary.kept:
        return f"nothing kept; the start is {words.times(claim.times)} the baseline's speed ({claim.kind})"
    return f"{words.times(claim.times)} the speed of the original baseline ({claim.kind})"


def _standing(run: Run, summary: Summary) -> str:
    done = f"{words.plural(summary.done, 'attempt')}, {len(summary.kept)} kept"
    why = run.reason.replace("_", " ") or run.phase
    state = f"{run.state} ({cell(why)})" if why else run.state
    what = ", ".join(filter(None, (run.problem, run.variant, run.target, run.shape)))
    return f"{done}; {state}. {cell(what)}. Last act {words.moment(run.updated)}."


def _anchors(run: Run) -> Sequence[str]:
    baseline = run.anchor("baseline")
    rows = []
    for each in run.anchors:
        gain = baseline.us / each.us if baseline and baseline.us and each.us else None
        floor = run.target_us / each.us if run.target_us and each.us else None
        spread = words.interval(each.low_us, each.high_us)
        rows.append(
            [each.label, each.name, words.microseconds(each.us), spread, words.times(gain), words.percent(floor)]
        )
    head = ["", "what", f"{run.kind} µs", "interval", "against baseline", "of floor"]
    return table(head, rows) if rows else ["No costs are known yet."]


def _doubt(run: Run, summary: Summary) -> str:
    """What the headline rests on."""
    claim = summary.claim
    if claim is None:
        return "There is nothing to compare with yet."
    parts = []
    if claim.low and claim.high:
        parts.append(f"between {words.times(claim.low)} and {words.times(claim.high)}")
    parts.append("predicted, not timed" if claim.kind == "predicted" else claim.kind)
    again = f"judged once more with fresh seeds: {claim.verdict}"
    parts.append(again if claim.confirmed else "not yet confirmed by a judgement of its own")
    if run.least_effect is not None:
        parts.append(f"least effect that would be seen {words.percent(run.least_effect, 1)}")
    if claim.receipt:
        parts.append(f"receipt {one_line(claim.receipt, 60)}")
    return f"Claim: {cell('; '.join(parts), 400)}."


def _kept(summary: Summary) -> Sequence[str]:
    if not summary.kept:
        return ["**Kept:** nothing."]
    rows = [
        [
            each.id,
            f"{words.microseconds(each.us)} µs {each.kind}",
            words.ratio(each.ratio),
            each.commit[:12],
            each.hypothesis,
        ]
        for each in summary.kept[-_KEPT_SHOWN:]
    ]
    more = len(summary.kept) - len(rows)
    lines = ["**Kept:**", "", *table(["attempt", "cost", "of its parent", "commit", "hypothesis"], rows)]
    return [*lines, "", f"and {more} before."] if more else lines


def _failures(summary: Summary) -> Sequence[str]:
    if not summary.failures:
        return ["**Not kept:** nothing."]
    shown = [f"{each.count} {cell(each.reason)}" for each in summary.failures[:_FAILURES_SHOWN]]
    more = sum(each.count for each in summary.failures[_FAILURES_SHOWN:])
    return [f"**Not kept:** {', '.join(shown)}{f', {more} for other reasons' if more else ''}."]


def _costs(run: Run, summary: Summary) -> Sequence[str]:
    spent = summary.spent
    wall = next((each.used for each in run.budget if each.name == "wall clock"), None)
    tokens = words.count(spent.input_tokens + spent.output_tokens)
    money = words.money(spent.cost_usd) if spent.cost_usd is not None else "no price known"
    lost = "nothing"
    if spent.lost_attempts:
        lost = f"{words.duration(spent.lost_s)} in {words.plural(spent.lost_attempts, 'attempt')}"
    return [
        f"**Spent:** {words.duration(wall)} on the clock, {words.duration(spent.agent_s)} editing, "
        f"{words.duration(spent.judge_s)} judging; {tokens} tokens; {money}. "
        f"**Lost** to failures of agents and machines: {lost}.",
        *_places(run),
    ]


def _places(run: Run) -> Sequence[str]:
    """How several places shared the judging; their names are nobody's business."""
    if len(run.places) < 2:
        return []
    each = ", ".join(str(place.judged) for place in run.places)
    lost = sum(place.lost for place in run.places)
    share = words.percent(run.occupancy)
    return ["", f"**Judged at {len(run.places)} places**, busy {share} of the time: {each} attempts; {lost} lost."]
