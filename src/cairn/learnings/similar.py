"""Which entries may say what a new one is about to say again.

"Read everything, then add" did not prevent duplicates in real files; a score does not decide either, but it puts
the candidates before the reader's eyes, with the reason.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cairn.learnings.model import Entry
from cairn.learnings.signature import normalise, signature

_TELLING = 25  # characters below which a quotation could be anything
LEAST = 60.0  # of 100; below it a candidate is noise in the files we measured
_TEXTS = ("symptom", "optimization", "what", "root cause")
_WORD = re.compile(r"[a-z_][a-z_0-9]{2,}")
_IDLE = frozenset(
    ("the", "and", "for", "with", "that", "this", "from", "not", "are", "was", "all", "into", "than")
)


@dataclass(frozen=True)
class Draft:
    """What is about to be said. `error`: a message or a whole traceback."""

    title: str = ""
    symptom: str = ""
    error: str = ""
    kind: str | None = None


@dataclass(frozen=True)
class Candidate:
    """An entry that resembles a draft: the score of 0 to 100 and what it is made of."""

    entry: Entry
    score: float
    parts: tuple[tuple[str, float], ...]
    shared: tuple[str, ...]


def similar(draft: Draft, entries: Iterable[Entry], limit: int = 5, least: float = LEAST) -> list[Candidate]:
    """The entries nearest to a draft, best first."""
    found = []
    for entry in entries:
        if draft.kind in (None, entry.kind):
            candidate = compare(draft, entry)
            if candidate.score >= least:
                found.append(candidate)
    return sorted(found, key=lambda each: (-each.score, each.entry.span.first))[:limit]


def compare(draft: Draft, entry: Entry) -> Candidate:
    """Score one entry: the best of title, symptom and error, lifted a little when two of them agree."""
    text = normalise(_text(entry)).casefold()
    parts = []
    if draft.title.strip():
        parts.append(("title", _alike(draft.title, entry.title)))
    if draft.symptom.strip():
        parts.append(("symptom", _alike(draft.symptom, text)))
    if fault := signature(draft.error):
        parts.append(("error", _error_score(fault, text)))
    scores = sorted((score for _, score in parts), reverse=True)
    score = scores[0] if scores else 0.0
    if len(scores) > 1:
        score = 0.7 * scores[0] + 0.3 * scores[1]
    words = _words(" ".join((draft.title, draft.symptom, signature(draft.error))))
    shared = tuple(sorted(words & _words(entry.title + " " + text)))
    return Candidate(entry, round(score, 1), tuple((name, round(each, 1)) for name, each in parts), shared)


def _text(entry: Entry) -> str:
    values = [value for label in _TEXTS for value in entry.values(label)]
    return " ".join(values) or entry.text


def _alike(one: str, other: str) -> float:
    """How much of the shorter text the longer one says, in any order; few shared words count for little."""
    left, right = normalise(one).casefold(), normalise(other).casefold()
    if not _words(left) & _words(right):
        return 0.0
    from rapidfuzz import fuzz  # 30 ms to import, and most commands compare nothing

    return 0.5 * fuzz.token_set_ratio(left, right) + 0.5 * fuzz.token_sort_ratio(left, right)


def _error_score(fault: str, text: str) -> float:
    """100 when the entry quotes the message or a telling part of it, whatever its numbers."""
    from rapidfuzz import fuzz

    telling = min(len(fault), len(text)) >= _TELLING
    quoted = float(fuzz.partial_ratio(fault, text)) if telling else float(fuzz.ratio(fault, text))
    return quoted if quoted >= 60 else 0.6 * quoted


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold())) - _IDLE


def pairs(entries: Sequence[Entry], least: float = 80.0) -> list[tuple[Entry, Candidate]]:
    """Entries of one file that resemble each other; each pair once, best first."""
    found = []
    for at, entry in enumerate(entries):
        draft = Draft(entry.title, _text(entry), kind=entry.kind)
        found += [(entry, each) for each in similar(draft, entries[at + 1 :], limit=3, least=least)]
    return sorted(found, key=lambda pair: -pair[1].score)
