"""Findings about what entries claim, not about their form: laws without proof, lost evidence, opposite advice."""

import re
from collections.abc import Iterator

from cairn.learnings.contradictions import contradictions
from cairn.learnings.evidence import LABELS, RETRACTED, STATUS, SUPERSEDED, Evidence, evidence_of
from cairn.learnings.finding import Finding, Key
from cairn.learnings.model import Document, Entry

_CODE = re.compile(r"`[^`]*`")
_LAW_LABELS = frozenset(("fix", "fixed", "rule", "applicable when", "optimization"))
_NEVER = re.compile(r"\bnever\b", re.IGNORECASE)
_SHOUTED = re.compile(r"\bNEVER\b")
_STATUS_WORD = re.compile(r"\W*(?:active|superseded|retracted)\b", re.IGNORECASE)
_EVIDENCE_LABELS = frozenset(label.casefold() for label in LABELS)

Rows = list[tuple[Entry, Evidence]]


def evidence_findings(document: Document, archive: Document | None, known: set[Key]) -> Iterator[Finding]:
    """Contradictions, laws that nobody reproduced, entries whose ground is gone, and unreadable states."""
    rows = [(entry, evidence_of(entry)) for entry in document.entries]
    old = [(entry, evidence_of(entry)) for entry in archive.entries] if archive else []
    yield from _laws(rows)
    yield from _lost_ground(rows, [*rows, *old])
    yield from _states(rows, known)
    for each in contradictions(rows):
        ids = (each.con.id, each.pro.id)
        what = f"{each.con.id} advises against `{each.subject}`, {each.pro.id} (line {each.pro.span.first}) for it"
        yield Finding("contradiction", each.con.span.first, ids, f"{what}; {_scopes(each.con, each.pro)}")


def _scopes(con: Entry, pro: Entry) -> str:
    parts = []
    for entry in (con, pro):
        evidence = evidence_of(entry)
        scope = ", ".join(f"{key} {value}" for key, value in evidence.scope.items()) or "no scope"
        parts.append(f"{entry.id}: {scope}, {evidence.confidence or 'confidence not said'}")
    return "; ".join(parts)


def _laws(rows: Rows) -> Iterator[Finding]:
    for entry, evidence in rows:
        if not evidence.active or evidence.confidence == "reproduced":
            continue
        if line := _law_line(entry):
            message = f"{entry.id} says never, but is not reproduced; say in which scope and how often it was seen"
            yield Finding("never-unproven", line, (entry.id,), message)


def _law_line(entry: Entry) -> int | None:
    if not _NEVER.search(entry.text):
        return None
    if _NEVER.search(_CODE.sub("", entry.title)):
        return entry.span.first
    for field in entry.fields:
        pattern = _NEVER if field.key in _LAW_LABELS else _SHOUTED
        if field.key not in _EVIDENCE_LABELS and pattern.search(_CODE.sub("", field.value)):
            return field.span.first
    return None


def _lost_ground(rows: Rows, everything: Rows) -> Iterator[Finding]:
    """Active entries that build on a retracted entry, or cite what a retraction declared worthless."""
    retracted = {name.key: entry for entry, found in everything if found.status == RETRACTED for name in entry.ids}
    untrusted = {cite: entry for entry, found in everything for cite in found.untrusted}
    for entry, evidence in rows:
        if not evidence.active:
            continue
        for word, name in evidence.relations:
            if word in ("extends", "based on") and name.key in retracted:
                message = f"{entry.id} {word} {name.raw}, which is retracted"
                yield Finding("retracted-evidence", entry.span.first, (entry.id, name.raw), message)
        for cite in evidence.cites:
            by = next(
                (other for bad, other in untrusted.items() if bad.startswith(cite) or cite.startswith(bad)), None
            )
            if by:
                message = f"{entry.id} cites {cite}, which {by.id} declares untrusted"
                yield Finding("retracted-evidence", entry.span.first, (entry.id, by.id), message)


def _states(rows: Rows, known: set[Key]) -> Iterator[Finding]:
    for entry, evidence in rows:
        values = entry.values(STATUS)
        if evidence.status == SUPERSEDED and (evidence.by is None or evidence.by.key not in known):
            by = evidence.by.raw if evidence.by else "nothing"
            yield Finding(
                "bad-status", entry.span.first, (entry.id,), f"{entry.id} is superseded by {by}; no such entry"
            )
        elif values and not _STATUS_WORD.match(values[-1]):
            message = f"{entry.id}: `{values[-1][:40]}` is none of active, superseded, retracted"
            yield Finding("bad-status", entry.span.first, (entry.id,), message)
