"""Failures by signature: how often each was seen, when, with which effect, and whether the guide knows a fix."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cairn.learnings.signature import normalise
from cairn.retro.facts import Document, Note
from cairn.retro.guide import GuideEntry
from cairn.retro.sections import plain_text

_ALIKE, _KNOWN = 88, 72
_ERRORS = re.compile(
    r"\b(?:OOM|out of memory|OutOfMemory\w*|RESOURCE_EXHAUSTED|CUDA error|segfault|segmentation fault|NaN"
    r"|diverged?|crash(?:ed|es)?"
    r"|timed? ?out|deadlock|hang|hung|Traceback|\w+Error|\w+Exception|illegal memory access)\b"
)
_MAX_CLUSTERED = 2000


@dataclass
class Failure:
    """One kind of failure. `notes` hold where it was told; `fix` is the guide's entry, None when nobody knows one."""

    signature: str
    notes: list[Note] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    fix: GuideEntry | None = None
    likeness: float = 0.0

    @property
    def text(self) -> str:
        return max((note.text for note in self.notes), key=len)

    @property
    def effect(self) -> str:
        return next((note.effect for note in self.notes if note.effect), "")


def failures(documents: Iterable[Document], guide: Sequence[GuideEntry]) -> list[Failure]:
    """All failures that the sources tell of, the most frequent first."""
    from rapidfuzz import fuzz, process  # 30 ms to import, and only this needs it

    found: list[Failure] = []
    signatures: list[str] = []
    for document in documents:
        for note in document.notes:
            if note.part != "failed" or len(signatures) >= _MAX_CLUSTERED:
                continue
            mark = signature_of(note)
            if len(mark) < 4:
                continue
            best = process.extractOne(mark, signatures, scorer=fuzz.token_sort_ratio, score_cutoff=_ALIKE)
            if best is None:
                found.append(Failure(mark))
                signatures.append(mark)
            failure = found[best[2]] if best else found[-1]
            failure.notes.append(note)
            failure.dates += [document.date] if document.date else []
    for failure in found:
        failure.fix, failure.likeness = _known(failure, guide)
    return sorted(found, key=lambda each: (-len(each.notes), each.notes[0].path, each.notes[0].line))


def signature_of(note: Note) -> str:
    """What stays the same when a failure is met again: its text without numbers, names of files and markup."""
    text = f"{note.text} {note.effect if _ERRORS.search(note.effect) else ''}"
    return normalise(plain_text(text)).casefold().strip(" .")


def _known(failure: Failure, guide: Sequence[GuideEntry]) -> tuple[GuideEntry | None, float]:
    from rapidfuzz import fuzz

    text = normalise(f"{failure.text} {failure.effect}").casefold()
    best, score = None, 0.0
    for entry in guide:
        theirs = normalise(f"{entry.pattern} {entry.symptom}").casefold()
        mine = max(
            fuzz.token_set_ratio(text, theirs) * 0.9,
            fuzz.token_set_ratio(text, normalise(entry.pattern).casefold()),
        )
        if mine > score:
            best, score = entry, mine
    return (best, round(score, 1)) if score >= _KNOWN else (None, round(score, 1))
