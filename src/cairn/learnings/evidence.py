"""What an entry rests on, in bold fields that a person reads as easily as the rest.

    - **Scope**: kernel gdn; shape B=8 T=4096; dtype bfloat16; chip tpu-v5p; jax 0.10.2; libtpu 0.0.42
    - **Evidence**: result 9c1b22aa4f01 (variant fused, 1.31x); receipt 3f2a66d0
    - **Confidence**: observed once
    - **Related**: extends [F003]; contradicts [S002]
    - **Status**: superseded by [F013], 2026-05-06: the limit is 256 lanes, not 128

All are optional, and free text in them is tolerated: what cannot be read as above is simply not known.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cairn.errors import UsageError
from cairn.learnings.identity import EntryId, mentions, parse_id
from cairn.learnings.model import Entry

SCOPE, EVIDENCE, CONFIDENCE, RELATED, STATUS = "Scope", "Evidence", "Confidence", "Related", "Status"
LABELS = (SCOPE, EVIDENCE, CONFIDENCE, RELATED, STATUS)  # in the order they are written
SCOPE_KEYS = ("kernel", "shape", "dtype", "chip", "jax", "libtpu")
CONFIDENCES = ("hypothesis", "observed once", "reproduced")
ACTIVE, SUPERSEDED, RETRACTED = "active", "superseded", "retracted"
STATUSES = (ACTIVE, SUPERSEDED, RETRACTED)
RELATIONS = ("extends", "supersedes", "contradicts", "based on", "distinct from")

_CITED = re.compile(r"\b(?:receipt|result)s?\s+`?([0-9a-f]{4,64})\b`?", re.IGNORECASE)
_STATUS = re.compile(r"\W*(active|superseded|retracted)\b(.*)", re.IGNORECASE | re.DOTALL)
_BY = re.compile(r"\s+by\s+\[?([\w./-]+)\]?", re.IGNORECASE)
_UNTRUSTED = re.compile(r"untrusted evidence:(.*)", re.IGNORECASE | re.DOTALL)
_HASH = re.compile(r"\b[0-9a-f]{4,64}\b")
_KERNEL = re.compile(r"\d{4}-\d{2}-\d{2},\s+(\S+) optimization\b")


@dataclass(frozen=True)
class Evidence:
    """What the evidence fields of one entry say; `cites` are hashes of receipts and results.

    `untrusted` are the hashes that a retraction declares worthless, for other entries too.
    """

    scope: Mapping[str, str]
    cites: tuple[str, ...]
    confidence: str | None
    status: str
    by: EntryId | None
    untrusted: tuple[str, ...]
    relations: tuple[tuple[str, EntryId], ...]

    @property
    def active(self) -> bool:
        return self.status == ACTIVE


def evidence_of(entry: Entry) -> Evidence:
    """Read the evidence fields; repeated ones add up, and of several Status fields the last one counts."""
    status, by, untrusted = _status(entry.values(STATUS))
    confidence = " ".join(entry.values(CONFIDENCE)[-1:]).casefold()
    return Evidence(
        scope=_scope(entry),
        cites=tuple(dict.fromkeys(_CITED.findall(" ".join(entry.values(EVIDENCE)).lower()))),
        confidence=next((each for each in CONFIDENCES if confidence.startswith(each)), None),
        status=status,
        by=by,
        untrusted=untrusted,
        relations=tuple(_relations(" ; ".join(entry.values(RELATED)))),
    )


def _scope(entry: Entry) -> dict[str, str]:
    scope: dict[str, str] = {}
    if kernel := _KERNEL.search(entry.first_seen or ""):
        scope["kernel"] = kernel[1]
    for value in entry.values(SCOPE):
        for part in value.split(";"):
            key, _, rest = part.strip().partition(" ")
            if key.casefold() in SCOPE_KEYS and rest:
                scope[key.casefold()] = rest.strip()
    return scope


def _status(values: Sequence[str]) -> tuple[str, EntryId | None, tuple[str, ...]]:
    matches = [match for value in values if (match := _STATUS.match(value))]
    if not matches:
        return ACTIVE, None, ()
    last = matches[-1]
    by = _BY.match(last[2])
    bad = _UNTRUSTED.search(last[2])
    return last[1].casefold(), parse_id(by[1]) if by else None, tuple(_HASH.findall(bad[1])) if bad else ()


def _relations(text: str) -> list[tuple[str, EntryId]]:
    found = []
    for part in text.split(";"):
        word = next((each for each in RELATIONS if part.strip().casefold().startswith(each)), None)
        if word:
            found += [(word, name) for name in mentions(part)]
    return found


def evidence_fields(
    scope: Mapping[str, str], cites: Sequence[str], confidence: str | None, related: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The fields to write, empty ones left out. `cites`: as they are to stand there, `result 9c1b (fused)`.

    Raises:
        UsageError: an unknown key of the scope, confidence or relation.
    """
    for what, words, known in (
        ("scope", scope, SCOPE_KEYS),
        ("confidence", [confidence] if confidence else [], CONFIDENCES),
        ("relation", [word for word, _ in related], RELATIONS),
    ):
        if wrong := [word for word in words if word not in known]:
            raise UsageError(f"`{wrong[0]}` is no {what}", hint=f"known: {', '.join(known)}")
    pairs = [
        (SCOPE, "; ".join(f"{key} {_line(scope[key])}" for key in SCOPE_KEYS if scope.get(key))),
        (EVIDENCE, "; ".join(map(_line, cites))),
        (CONFIDENCE, confidence or ""),
        (RELATED, "; ".join(f"{word} [{name.strip('[] ')}]" for word, name in related)),
    ]
    return [(label, value) for label, value in pairs if value]


def status_value(status: str, date: str, reason: str, *, by: str | None = None, bad: Sequence[str] = ()) -> str:
    """The text of a Status field."""
    head = f"{status} by [{by}]" if by else status
    tail = f"; untrusted evidence: {', '.join(bad)}" if bad else ""
    return f"{head}, {date}: {_line(reason)}{tail}"


def _line(text: str) -> str:
    return " ".join(text.replace(";", ",").split())
