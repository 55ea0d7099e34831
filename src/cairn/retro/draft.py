"""A first draft of the summary: the four parts, filled with what the sources say and where they say it.

Only numbers, names and quoted sentences; the words between them are the assistant's. A draft passes `retro check`.
"""

from collections.abc import Iterable, Sequence
from datetime import date

from cairn.retro.compare import Board, Pair
from cairn.retro.facts import Document, Note
from cairn.retro.failures import Failure
from cairn.retro.questions import Question
from cairn.retro.runs import Run
from cairn.retro.sections import plain_text

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
NOTHING = "- The sources name none."


def draft_summary(
    subject: str,
    documents: Sequence[Document],
    runs: Sequence[Run],
    found: tuple[Sequence[Board], Sequence[Pair], Sequence[Failure], Sequence[Question]],
    limit: int = 12,
) -> str:
    """The skeleton as Markdown; every bullet ends with its place."""
    boards, pairs, failures, questions = found
    today = date.today()
    parts = {
        "What we tried": _tried(documents, runs, limit),
        "Key findings": [
            *_findings(boards, limit),
            *_effects(pairs, limit),
            *_told(documents, ("finding", "worked"), limit),
        ],
        "What failed": [_failure(each) for each in failures[:limit]],
        "Open questions": [
            f"- {each.text} ({each.first.path}:{each.first.line})" for each in questions if not each.answered_by
        ][:limit],
    }
    lines = [f"## Retrospective: {subject} ({_MONTHS[today.month - 1]} {today.year})", ""]
    for title, bullets in parts.items():
        lines += [f"### {title}", "", *(bullets or [NOTHING]), ""]
    return "\n".join(lines)


def _tried(documents: Sequence[Document], runs: Sequence[Run], limit: int) -> list[str]:
    names: dict[str, list[str]] = {}
    for run in runs:
        names.setdefault(run.path, []).append(run.name)
    lines = []
    for document in documents:
        if document.path in names:
            shown = ", ".join(f"`{name}`" for name in names[document.path][:6] if "`" not in name)
            lines.append(f"- {plain_text(document.title) or document.path}: {shown} ({document.path})")
    return lines[:limit] or _told(documents, ("tried",), limit)


def _findings(boards: Sequence[Board], limit: int) -> list[str]:
    lines = []
    for board in boards:
        trusted = [entry for entry in board.entries if entry.run.trusted]
        if board.direction is None or not trusted:
            continue
        best = trusted[0]
        fact = best.value.fact
        base = next(
            (
                entry
                for entry in board.entries
                if entry.run.baseline and (entry.run.path, entry.run.group) == (best.run.path, best.run.group)
            ),
            None,
        )
        against = f", baseline `{base.run.name}` {base.value.fact.raw}" if base and base is not best else ""
        noise = "; within noise" if best.within_noise else ""
        lines.append(f"- {fact.name}: best is `{best.run.name}` with {fact.raw}{against}{noise} ({fact.where})")
    return lines[:limit]


def _effects(pairs: Sequence[Pair], limit: int) -> list[str]:
    lines = []
    for pair in pairs:
        if pair.controlled and not pair.within_noise:
            (name, before, after), first, second = pair.changes[0], pair.before.fact, pair.after.fact
            lines.append(f"- {name} {before} → {after}: {second.name} {first.raw} → {second.raw} ({second.where})")
    return lines[: limit // 2]


def _told(documents: Iterable[Document], parts: tuple[str, ...], limit: int) -> list[str]:
    notes = [note for document in documents for note in document.notes if note.part in parts]
    return [_quote(note) for note in notes[:limit]]


def _quote(note: Note) -> str:
    return f"- {note.text} ({note.path}:{note.line})"


def _failure(failure: Failure) -> str:
    note = failure.notes[0]
    effect = f" — {failure.effect}" if failure.effect else ""
    seen = (
        ""
        if len(failure.notes) == 1
        else f"; also {', '.join(f'{each.path}:{each.line}' for each in failure.notes[1:4])}"
    )
    return f"- {failure.text}{effect} ({note.path}:{note.line}{seen})"
