"""What to try next, as far as the numbers say so; the ideas that a run names itself come first."""

from collections.abc import Iterator

from cairn.report import words
from cairn.report.inert import one_line
from cairn.report.rows import Attempt, Run
from cairn.report.summary import Summary

_MOST = 6
_CAUSES = {
    "mxu_stall": "waiting for matrix results: more independent products in flight, larger tiles",
    "unit_stall": "waiting for a vector, permute or transcendental unit: spread that work, or do less of it",
    "dma_wait": "waiting for copies: larger or more blocks in flight, less traffic",
    "issue": "issuing instructions: fewer vector operations for each product",
    "neighbours": "XLA's own work round the kernels: fuse or avoid the copies and transposes beside them",
}
_HONEST = ("slower", "within_margin")
_CROWDED = 0.3
# share of the floor reached -> how much is left to gain; beyond the last, advice on a bottleneck only misleads
_ROOM = ((0.5, "much"), (0.7, "something"), (0.9, "little"))


def ideas_of(run: Run, summary: Summary) -> list[str]:
    """At most six lines, most promising first."""
    return [one_line(each) for each in (*run.ideas, *_derived(run, summary))][:_MOST] or ["Nothing stands out."]


def _derived(run: Run, summary: Summary) -> Iterator[str]:
    yield from _almost(run)
    if summary.of_floor is None or summary.of_floor < _ROOM[-1][0]:
        yield from _bottleneck(run)
    yield from _distance(run, summary)
    done = max(1, summary.done)
    for each in summary.failures[:1]:
        if each.count > max(2, _CROWDED * done) and each.reason not in _HONEST:
            what = one_line(each.example, 80)
            yield f"{each.count} of {done} attempts ended as {each.reason}: mend that first ({what})."


def _almost(run: Run) -> Iterator[str]:
    """Attempts that were a little better, but not by enough to count."""
    near = [each for each in run.attempts if each.reason == "within_margin" and (each.ratio or 1.0) < 1.0]
    for each in sorted(near, key=lambda row: row.ratio or 1.0)[:2]:
        gain, what = words.percent(1 - (each.ratio or 1.0), 1), one_line(each.hypothesis, 90)
        yield f"{each.id} was {gain} cheaper, inside the margin: combine it with another change ({what})."


def _bottleneck(run: Run) -> Iterator[str]:
    champion = _champion_attempt(run)
    receipt = champion.receipt if champion else None
    causes = receipt.shapes[0].breakdown_us if receipt and receipt.shapes else {}
    if causes and (total := sum(causes.values())) > 0:
        cause, cost = max(causes.items(), key=lambda item: item[1])
        yield f"{words.percent(cost / total)} of the champion's predicted time is {_CAUSES.get(cause, cause)}."


def _distance(run: Run, summary: Summary) -> Iterator[str]:
    if summary.of_floor is not None and 0 < summary.of_floor < 1:
        bound = f", set by {run.bound_by}" if run.bound_by else ""
        room = next((word for share, word in _ROOM if summary.of_floor < share), "next to nothing")
        yield f"The champion costs {words.times(1 / summary.of_floor)} the floor{bound}: there is {room} to gain."


def _champion_attempt(run: Run) -> Attempt | None:
    anchor = run.anchor("champion")
    return next((each for each in run.attempts if anchor and each.id == anchor.name), None)
