"""Find the learnings that matter for one problem, and show all others as one line each.

A file of 28,000 tokens pasted into every prompt is read by nobody. The loop asks for what fits its kernel, chip
and error, and gets that within a budget; superseded and retracted entries are not served.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cairn.learnings.evidence import Evidence, evidence_of
from cairn.learnings.model import Entry
from cairn.learnings.signature import signature
from cairn.learnings.similar import Draft, compare

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Query:
    """What is looked for; everything that is given raises the rank of what fits it.

    `text` must be found (every word); `idea` and `error` are compared by likeness; `all_states`: retired ones too.
    """

    text: str = ""
    kernel: str = ""
    chips: tuple[str, ...] = ()
    error: str = ""
    idea: str = ""
    kind: str | None = None
    all_states: bool = False


@dataclass(frozen=True)
class Hit:
    """An entry with its rank and the reasons for it."""

    entry: Entry
    evidence: Evidence
    score: float
    why: tuple[str, ...]


def search(query: Query, entries: Iterable[Entry], limit: int = 20) -> list[Hit]:
    """Entries that fit a query, best first; with no wish but a type, all of them in their order."""
    hits = [hit for entry in entries if (hit := _hit(query, entry))]
    return sorted(hits, key=lambda hit: -hit.score)[:limit]


def _hit(query: Query, entry: Entry) -> Hit | None:
    evidence = evidence_of(entry)
    if not (evidence.active or query.all_states) or query.kind not in (None, entry.kind):
        return None
    text = entry.text.casefold()
    words = query.text.casefold().split()
    if not all(word in text for word in words):
        return None
    reasons = [(40.0, f"has `{query.text}`")] if words else []
    reasons += _scope_reasons(query, evidence, text)
    reasons += _likeness_reasons(query, entry)
    wanted = query.kernel or query.chips or query.error or query.idea
    score = sum(points for points, _ in reasons)
    if wanted and score <= 0 and not words:
        return None
    score += {"reproduced": 3.0, "observed once": 1.0}.get(evidence.confidence or "", 0.0)
    return Hit(entry, evidence, round(score, 1), tuple(reason for points, reason in reasons if points > 0))


def _scope_reasons(query: Query, evidence: Evidence, text: str) -> list[tuple[float, str]]:
    """Points for the kernel and chip; a scope that names another chip counts against an entry."""
    reasons = []
    if query.kernel:
        kernel = query.kernel.casefold()
        if evidence.scope.get("kernel", "").casefold() == kernel:
            reasons.append((30.0, f"kernel {query.kernel}"))
        elif kernel in _WORD.findall(text):
            reasons.append((15.0, f"mentions {query.kernel}"))
    chip = evidence.scope.get("chip", "").casefold()
    for wanted in query.chips:
        if chip and chip == wanted.casefold():
            reasons.append((20.0, f"chip {wanted}"))
        elif not chip and wanted.casefold().removeprefix("tpu-") in _WORD.findall(text):
            reasons.append((10.0, f"mentions {wanted}"))
    if chip and query.chips and chip not in {each.casefold() for each in query.chips}:
        reasons.append((-10.0, f"chip {chip}"))
    return reasons


def _likeness_reasons(query: Query, entry: Entry) -> list[tuple[float, str]]:
    reasons = []
    if query.error:
        score = compare(Draft(error=query.error), entry).score
        if score >= 60:
            reasons.append((score, f"error {score:.0f}: {signature(query.error)[:60]}"))
    if query.idea:
        score = compare(Draft(title=query.idea, symptom=query.idea), entry).score
        if score >= 40:
            reasons.append((score, f"idea {score:.0f}"))
    return reasons


def index_line(entry: Entry, evidence: Evidence) -> str:
    """One entry in one line: `[F012] title (gdn, tpu-v5p, reproduced)`."""
    notes = [evidence.scope.get("kernel"), evidence.scope.get("chip"), evidence.confidence]
    if not evidence.active:
        notes.append(f"{evidence.status} by {evidence.by.raw}" if evidence.by else evidence.status)
    inside = ", ".join(filter(None, notes))
    return f"[{entry.id}] {entry.title}" + (f" ({inside})" if inside else "")


def within(hits: Sequence[Hit], budget_bytes: int) -> tuple[list[Hit], list[Hit]]:
    """Split hits into those whose full text fits a budget, and the rest, of which only the line is shown."""
    full: list[Hit] = []
    left = budget_bytes
    for at, hit in enumerate(hits):
        left -= len(hit.entry.text.encode())
        if left < 0:
            return full, list(hits[at:])
        full.append(hit)
    return full, []
