"""Refuse invention: every number and every name of a run in a text must have evidence.

A text is read with the same readers as the sources, so that a claim has a value, a unit, a metric and a run. It holds
when a source states that value, or a coarser rounding of it, for something that does not contradict the claim, or when
`compare` computes it. Being somewhere in the sources is not enough: a loss that stands there as an accuracy is wrong.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cairn.retro.evidence import Evidence, words_of
from cairn.retro.facts import NOTE, Document, Fact
from cairn.retro.ingest.markdown import read_markdown_report
from cairn.retro.ingest.text import lines_of

UNKNOWN_NUMBER, OTHER_THING, UNKNOWN_NAME, WRONG_PLACE, EMPTY = (
    "no-evidence",
    "contradicted",
    "unknown-name",
    "wrong-place",
    "empty",
)
_CODE = re.compile(r"`([^`\n]{2,80})`")
_NAME = re.compile(r"[A-Za-z0-9][\w./@+:#-]*(?:[-_/.@#:+][\w./@+:#-]+|\d[\w-]*)")
_CITATION = re.compile(r"([\w./@+-]+\.\w{1,8}):(\d+)\b")
_SKIPPED_KEYS = re.compile(
    r"(?:created|updated|date|version|author|name|short-description|tags|domain|license|evidence)", re.I
)


@dataclass(frozen=True)
class Claim:
    """A number of the text that was looked up. `status`: exact, rounded, computed or stated."""

    line: int
    raw: str
    status: str
    where: str


@dataclass(frozen=True)
class Finding:
    """What is wrong on a line, and what the evidence holds instead."""

    line: int
    code: str
    what: str
    message: str
    instead: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """The result for one text."""

    claims: tuple[Claim, ...]
    findings: tuple[Finding, ...]


def check_text(path: str, text: str, evidence: Evidence) -> Checked:
    """Look up everything that a text claims."""
    lines = lines_of(text)
    document = Document(path, "claim")
    read_markdown_report(path, lines, document)
    claims: list[Claim] = []
    findings: list[Finding] = []
    for fact in document.facts:
        if (
            fact.line is None
            or fact.value is None
            or (fact.group == "front matter" and _SKIPPED_KEYS.fullmatch(fact.name))
        ):
            continue
        line = lines[fact.line - 1]
        result = _check(fact, line, evidence)
        if isinstance(result, Claim):
            claims.append(result)
        else:
            findings.append(result)
    for number, line in enumerate(lines, 1):
        findings += _check_names(line, number, evidence)
        findings += _check_citations(line, number, evidence)
    if not evidence.facts:
        findings.append(
            Finding(0, EMPTY, "", "there is no evidence at all; run `cairn retro collect` on the project first")
        )
    return Checked(tuple(claims), tuple(sorted(findings, key=lambda each: each.line)))


def _check(claim: Fact, line: str, evidence: Evidence) -> Claim | Finding:
    matches = evidence.equal(claim)
    row = f"{claim.run} {claim.group}" if "table" in claim.shape else ""
    words = words_of(f"{line} {claim.name} {row}")
    mentioned = _mentioned(line, claim, evidence)
    consistent = [match for match in matches if _consistent(claim, match[0], words, mentioned, evidence)]
    assert claim.line is not None
    if consistent:
        fact, status = min(
            consistent, key=lambda match: (match[1] != "exact", -len(words & _fact_words(match[0])))
        )
        return Claim(claim.line, claim.raw, status, fact.where)
    if where := evidence.computed(claim):
        return Claim(claim.line, claim.raw, "computed", where)
    instead = tuple(
        _told(fact) for fact in evidence.near_words(words_of(f"{claim.name} {row} {' '.join(mentioned)}") or words)
    )
    if matches:
        elsewhere = "; ".join(_told(fact) for fact, _ in matches[:2])
        return Finding(
            claim.line,
            OTHER_THING,
            claim.raw,
            f"`{claim.raw}` is not what the evidence says here; it stands for {elsewhere}",
            instead,
        )
    return Finding(claim.line, UNKNOWN_NUMBER, claim.raw, f"`{claim.raw}` has no evidence", instead)


def _consistent(claim: Fact, fact: Fact, words: set[str], mentioned: set[str], evidence: Evidence) -> bool:
    """Whether a fact may be what a claim means: the same kind of value, of a run that is named, in its words."""
    if not claim.has(NOTE) and not _alike(claim.name, fact.name, evidence):  # a note may be about something else
        return False
    run = fact.run.casefold()
    if mentioned and run in evidence.runs and run not in mentioned:
        return bool((words_of(run) - words_of(" ".join(mentioned))) & words)
    if claim.name and evidence.domain.same(claim.name, fact.name):
        return True
    about = _fact_words(fact)
    return bool(words & about) or bool(words & words_of(evidence.line(fact))) or not about


def _alike(claimed: str, held: str, evidence: Evidence) -> bool:
    """Whether two names may mean one thing: a text may say `loss` for a validation loss, but not for an accuracy."""
    one, other = words_of(claimed), words_of(held)
    if one and other and (one <= other or other <= one):
        return True
    mine, theirs = evidence.domain.family(claimed), evidence.domain.family(held)
    return not mine or not theirs or mine.endswith(theirs) or theirs.endswith(mine)


def _mentioned(line: str, claim: Fact, evidence: Evidence) -> set[str]:
    """Names of runs that stand in the line, or in the row of a table."""
    text = f"{line} {claim.run if 'table' in claim.shape else ''}".casefold()
    return {
        run for run in evidence.runs if run in text and re.search(rf"(?<![\w-]){re.escape(run)}(?![\w-])", text)
    }


def _fact_words(fact: Fact) -> set[str]:
    unit = fact.unit or ""
    return words_of(f"{fact.name} {fact.run} {fact.group} {Path(fact.path).stem} {unit}")


def _told(fact: Fact) -> str:
    of = f" of {fact.run}" if fact.run else ""
    return f"{fact.name or fact.group or 'a value'}{of}: {fact.raw} ({fact.where})"


def _check_names(line: str, number: int, evidence: Evidence) -> list[Finding]:
    """Names in code marks that look like runs, files or variants and that no source knows."""
    found = []
    for match in _CODE.finditer(line):
        name = match[1].strip()
        if _NAME.fullmatch(name) and not _is_file(name, evidence) and not evidence.has_name(name):
            instead = tuple(sorted(evidence.runs, key=lambda run: _distance(run, name))[:3])
            found.append(Finding(number, UNKNOWN_NAME, name, f"`{name}` is in no source", instead))
    return found


def _is_file(name: str, evidence: Evidence) -> bool:
    return (evidence.root / name.split(":")[0]).exists() if "\0" not in name and len(name) < 200 else False


def _distance(run: str, name: str) -> float:
    from rapidfuzz import fuzz

    return -fuzz.ratio(run, name.casefold())


def _check_citations(line: str, number: int, evidence: Evidence) -> list[Finding]:
    """`path:line` must lead to a source that has the line."""
    found = []
    for match in _CITATION.finditer(line):
        path, cited = match[1], int(match[2])
        if path not in evidence.paths:
            if "/" in path:
                found.append(Finding(number, WRONG_PLACE, match[0], f"`{path}` is no source"))
            continue
        if cited > evidence.text(path).count("\n") + 1:
            found.append(Finding(number, WRONG_PLACE, match[0], f"`{path}` has no line {cited}"))
    return found


def counts(checked: Checked) -> Mapping[str, int]:
    """How many claims of each status, and findings of each code."""
    total: dict[str, int] = defaultdict(int)
    for claim in checked.claims:
        total[claim.status] += 1
    for finding in checked.findings:
        total[finding.code] += 1
    return dict(total)
