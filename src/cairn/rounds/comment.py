"""The round-summary comment, rendered from data: the same facts give the same bytes, and nothing is sent from here.

A hidden marker names run, round and part, so that sending it again edits the comment instead of adding one. GitHub
takes 65,536 characters: what is too long is cut into parts at the lines of its tables, with the heads repeated.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cairn.rounds.digest import Digest, Fact
from cairn.rounds.reading import number
from cairn.rounds.trust import TRUSTED
from cairn.text.redact import Redaction, redact
from cairn.text.table import cell, figure, table

LIMIT = 65_536
_ROOM = 600  # for the marker, the note about parts, and what GitHub counts otherwise than we do
_MARKER = re.compile(r"<!-- cairn:round run=(\S+) round=(\d+)(?: part=(\d+)/(\d+))? -->\s*\Z")


def render(
    digest: Digest,
    learned: Sequence[str],
    notes: Mapping[str, str],
    lineages: Mapping[str, Any],
    private: tuple[str, ...] = (),
    *,
    picture: str = "",
) -> tuple[str, list[Redaction]]:
    """The whole comment without its marker, redacted; and what was taken out of it.

    `private`: further words to take out, such as this machine's name. `picture`: a checked web address.
    """
    rows = [
        [
            fact.variant.name,
            fact.variant.status,
            _speedup(fact),
            fact.variant.intent.direction or "--",
            notes.get(fact.variant.name) or _in_short(fact),
        ]
        for fact in digest.facts
    ]
    this = digest.round.number
    pruned = [
        str(row.get("id") or row.get("variant"))
        for row in lineages.get("pruned") or ()
        if isinstance(row, dict) and number(row.get("pruned_at_round")) == this
    ]
    lines = [
        f"### Round {this} Summary",
        "",
        *([f"![the run so far, gain by variant](<{picture}>)", ""] if picture else []),
        *table(["Variant", "Status", "Speedup", "Direction", "Notable"], rows),
        "",
        f"**Active Lineages:** {', '.join(_lineages(lineages)) or 'none'}",
        f"**Pruned this round:** {', '.join(map(cell, pruned)) or 'none'}",
        f"**New learnings:** {', '.join(learned) or 'none'}",
        "",
        "<details><summary>Results and how far they are trusted</summary>",
        "",
        *table(["Variant", "Class", "Trust", "Result", "Message"], [_detail(fact) for fact in digest.facts]),
        "",
        "</details>",
    ]
    return redact("\n".join(lines) + "\n", private)


def _speedup(fact: Fact) -> str:
    """The speedup, with a word beside it where it must not be believed."""
    doubt = f" ({fact.trust.level})" if fact.variant.speedup is not None and fact.trust.level != TRUSTED else ""
    return figure(fact.variant.speedup, "x") + doubt


def _in_short(fact: Fact) -> str:
    return fact.message or (f"{fact.gain:.3f} times the best before" if fact.gain else fact.variant.fault or "--")


def _lineages(lineages: Mapping[str, Any]) -> list[str]:
    rows = [row for row in lineages.get("lineages") or () if isinstance(row, dict)]
    return [
        f"{cell(str(row.get('id')))} ({figure(number(row.get('best_speedup')), 'x')}, "
        f"{cell(str(row.get('direction') or '--'))})"
        for row in rows
    ]


def _detail(fact: Fact) -> list[str]:
    trust = fact.trust.level + (f": {', '.join(fact.trust.codes[:3])}" if fact.trust.codes else "")
    return [fact.variant.name, fact.trust.status, trust, fact.variant.hash or "--", fact.message or "--"]


def run_id(digest: Digest) -> str:
    """What the marker calls the run: its folder's name, without what could end a comment in HTML."""
    return re.sub(r"-{2,}", "-", re.sub(r"[^\w.-]+", "_", digest.run.folder.resolve().name)).strip("-") or "run"


def with_markers(body: str, run: str, this: int, limit: int = LIMIT) -> list[str]:
    """The comments to send: one, or several parts when the body is too long."""
    parts = _parts(body, limit - _ROOM)
    if len(parts) == 1:
        return [f"{parts[0]}\n<!-- cairn:round run={run} round={this} -->\n"]
    return [
        f"{part}\n*Part {at} of {len(parts)}.*\n\n<!-- cairn:round run={run} round={this} part={at}/{len(parts)} -->\n"
        for at, part in enumerate(parts, start=1)
    ]


def marker_of(body: str) -> str | None:
    """The marker at a comment's end, without the number of parts: what makes two comments the same one."""
    match = _MARKER.search(body)
    return f"run={match[1]} round={match[2]} part={match[3] or 1}" if match else None


def _parts(body: str, room: int) -> list[str]:
    """Cut at lines; a part that begins inside a table repeats its head, and folded details stay folded."""
    if len(body) <= room:
        return [body]
    parts: list[str] = []
    lines: list[str] = []
    head: list[str] = []
    folded = ""
    for line in body.splitlines():
        if line.startswith("<details>"):
            folded = line
        if sum(map(len, lines)) + len(lines) + len(line) > room - 200 and lines:
            parts.append("\n".join([*lines, *(["", "</details>"] if folded else []), ""]))
            lines = ([folded, ""] if folded else []) + (head if line.startswith("|") else [])
        if line.startswith("|--"):
            head = [lines[-1], line]
        if line == "</details>":
            folded = ""
        lines.append(line[: room - 400])
    return [*parts, "\n".join([*lines, ""])]
