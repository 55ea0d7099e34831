"""The retrospective as one HTML file: running best, effect of single changes, failures; every number with its place."""

from collections.abc import Sequence

from cairn.report.components import Cell, Column, Tile, bullets, folded, joined, paragraph, picture, table, tiles
from cairn.report.page import Page, Section, render_page
from cairn.report.plots import Bar, Line, bars, lines
from cairn.retro.compare import Board, Pair
from cairn.retro.failures import Failure
from cairn.retro.progress import Series
from cairn.retro.questions import Question

_MOST_BARS, _MOST_BOARDS, _MOST_LINES = 20, 4, 3


def retrospective_page(
    subject: str,
    summary: str,
    boards: Sequence[Board],
    pairs: Sequence[Pair],
    rest: tuple[Sequence[Series], Sequence[Failure], Sequence[Question]],
) -> str:
    """The whole page, without network and with all data in it. `summary`: the Markdown it stands next to, may be ''."""
    series, failures, questions = rest
    controlled = [pair for pair in pairs if pair.controlled and pair.relative is not None]
    sections = [_overview(boards, controlled, failures, questions)]
    if summary:
        sections.append(
            Section("summary", "Summary", folded("The summary as text", bullets(summary.splitlines())))
        )
    sections += [section for section in (_best(series), _boards(boards), _effects(controlled)) if section]
    sections += [_failures(failures), _questions(questions)]
    data = {"retro-facts": [_row(board) for board in boards]}
    return render_page(
        Page(f"Retrospective: {subject}", "every number names its file and line", sections, data=data)
    )


def _overview(
    boards: Sequence[Board], pairs: Sequence[Pair], failures: Sequence[Failure], questions: Sequence[Question]
) -> Section:
    rows = [
        Tile("metrics compared", str(len(boards))),
        Tile("single changes", str(len(pairs)), "pairs of runs that differ in one parameter"),
        Tile(
            "kinds of failure",
            str(len(failures)),
            f"{sum(each.fix is None for each in failures)} without a known fix",
        ),
        Tile("open questions", str(sum(not each.answered_by for each in questions))),
    ]
    return Section("overview", "Overview", tiles(rows))


def _best(series: Sequence[Series]) -> Section | None:
    parts = []
    for at, each in enumerate(series[:_MOST_LINES]):
        points = [(float(n), one.best) for n, one in enumerate(each.tries, 1) if one.best is not None]
        if len(points) > 1:
            caption = f"{each.path}: {each.kept} of {len(each.tries)} tries kept" + (
                "; on a plateau" if each.plateau else ""
            )
            svg = lines(
                f"best-{at}",
                f"Running best of {each.metric}",
                ("try", each.metric),
                [Line("running best", points, steps=True)],
            )
            parts.append(picture(caption, svg))
    return Section("best", "Running best", joined(parts)) if parts else None


def _boards(boards: Sequence[Board]) -> Section | None:
    columns = [
        Column("Run", text=True),
        Column("Value", number=True),
        Column("Gain", number=True),
        Column("Trust"),
        Column("Where", text=True),
    ]
    parts = []
    for at, board in enumerate(board for board in boards if board.direction):
        rows = [
            [
                entry.run.name,
                Cell(entry.value.fact.raw, entry.value.number),
                Cell("" if entry.gain is None else f"{entry.gain * 100:+.1f} %", entry.gain),
                "not trusted" if not entry.run.trusted else "within noise" if entry.within_noise else "",
                entry.value.fact.where,
            ]
            for entry in board.entries
        ]
        parts.append(table(f"board-{at}", f"{board.metric}; {board.direction} is better", columns, rows))
        if at + 1 == _MOST_BOARDS:
            break
    return Section("leaderboards", "Leaderboards", joined(parts)) if parts else None


def _effects(pairs: Sequence[Pair]) -> Section | None:
    if not pairs:
        return None
    shown = [pair for pair in pairs if pair.relative is not None][:_MOST_BARS]
    rows = [
        Bar(
            f"{pair.changes[0][0]} {pair.changes[0][1]} → {pair.changes[0][2]}: {pair.metric}",
            (pair.relative or 0.0) * 100,
            tone="keep" if pair.better else "invalid" if pair.better is False else "accent",
        )
        for pair in shown
    ]
    note = paragraph(
        "Only pairs of runs that differ in exactly one recorded parameter; changes within the spread of "
        "repeats are noise."
    )
    svg = bars("effects", "Effect of single changes", "change, %", rows)
    return Section(
        "effects", "Effect of single changes", joined([note, picture("Relative change of the metric", svg)])
    )


def _failures(failures: Sequence[Failure]) -> Section:
    columns = [
        Column("Failure", text=True),
        Column("Seen", number=True),
        Column("Effect", text=True),
        Column("Fix", text=True),
        Column("Where", text=True),
    ]
    rows = [
        [
            each.text,
            str(len(each.notes)),
            each.effect,
            each.fix.solution if each.fix else "unknown",
            f"{each.notes[0].path}:{each.notes[0].line}",
        ]
        for each in failures
    ]
    return Section("failures", "What failed", table("failures", "Failures by signature", columns, rows))


def _questions(questions: Sequence[Question]) -> Section:
    rows = [f"{each.text} ({each.first.path}:{each.first.line})" for each in questions if not each.answered_by]
    return Section("questions", "Open questions", bullets(rows or ["The sources name none."]))


def _row(board: Board) -> dict[str, object]:
    entries = [
        {"run": each.run.name, "raw": each.value.fact.raw, "where": each.value.fact.where}
        for each in board.entries
    ]
    return {"metric": board.metric, "better": board.direction, "runs": entries}
