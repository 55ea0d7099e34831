"""Open questions over all reports and log entries: asked where, and answered where, if anywhere."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cairn.retro.facts import Document, Note
from cairn.retro.sections import plain_text

_ANSWERED = re.compile(r"\b(?:answered|closed|resolved|settled|no longer open)\b", re.I)
_ANSWER_LINE = re.compile(r"(?:answered|closed|resolved)\s+(?:open\s+)?questions?\b\s*\**\s*:?\s*\**\s*(.+)", re.I)
_NONE = re.compile(r"(?:none|no open questions?|n/?a|-+|nothing)\W*", re.I)
_TICKED = re.compile(r"\[x\]|~~.+~~", re.I)
_SAME, _ANSWERS = 85, 62


@dataclass(frozen=True)
class Question:
    """A question with the first place it stands in. `answered_by`: the note that says so, None while it is open."""

    text: str
    first: Note
    date: str | None
    seen: int
    answered_by: Note | None


def questions(documents: Iterable[Document]) -> list[Question]:
    """All questions in the order they were first asked; those said again count as seen again."""
    from rapidfuzz import fuzz  # 30 ms to import, and only this needs it

    asked: list[tuple[Note, str | None, int]] = []
    answers: list[Note] = []
    for document in documents:
        for note in document.notes:
            if note.part != "question" and not (note.part == "next" and note.text.rstrip().endswith("?")):
                if _ANSWERED.search(note.text):
                    answers.append(note)
                continue
            text = plain_text(note.text)
            if _NONE.fullmatch(text) or len(text) < 8:
                continue
            at = next(
                (
                    n
                    for n, (old, _, _) in enumerate(asked)
                    if fuzz.token_set_ratio(plain_text(old.text), text) >= _SAME
                ),
                None,
            )
            if at is None:
                asked.append((note, document.date, 1))
            else:
                asked[at] = (asked[at][0], asked[at][1], asked[at][2] + 1)
    return [
        Question(plain_text(note.text), note, date, seen, _answer(note, answers)) for note, date, seen in asked
    ]


def _answer(question: Note, answers: Iterable[Note]) -> Note | None:
    from rapidfuzz import fuzz

    if _TICKED.search(question.text) or _ANSWERED.search(question.text):
        return question
    text = plain_text(question.text).casefold()
    for note in answers:
        match = _ANSWER_LINE.search(note.text)
        told = plain_text(match[1] if match else note.text).casefold()
        if (note.path, note.line) != (question.path, question.line) and fuzz.token_set_ratio(
            text, told
        ) >= _ANSWERS:
            return note
    return None
