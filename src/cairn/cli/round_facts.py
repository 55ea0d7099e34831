"""What the round commands share: the run, the gate's verdicts on its results, and the digest of one round."""

from pathlib import Path
from typing import Any

from cairn.judge.foreign.findings import HARD, NOTE
from cairn.judge.foreign.gate import VariantTrust, report_results
from cairn.learnings.evidence import evidence_of
from cairn.learnings.store import read_archive, read_document
from cairn.rounds.digest import Digest, Fact, Known, digest
from cairn.rounds.reading import Round, Run, read_run
from cairn.rounds.trust import TRUSTED, UNPROVEN, UNTRUSTED, Trust


def verdicts(run: Run) -> dict[str, Trust]:
    """The gate's verdict on every result of a run, by the result's path; empty when there is no result at all."""
    if not any(variant.fault is None for each in run.rounds for variant in each.variants):
        return {}
    found = {}
    for each in report_results(run.folder).variants:
        for path in (each.path, *each.copies):
            found[path] = _trust(each)
    return found


def _trust(result: VariantTrust) -> Trust:
    codes = tuple(dict.fromkeys(reason.code for reason in result.reasons if reason.severity != NOTE))
    hard = any(reason.severity == HARD for reason in result.reasons)
    return Trust(UNTRUSTED if hard else UNPROVEN if codes else TRUSTED, result.status, codes)


def facts_of(folder: Path, number: int | None, agent_md: Path, kernel: str | None = None) -> Digest:
    """The digest of one round, compared with AGENT.md and its archive.

    Raises:
        BadInput: there is no such run or round.
    """
    run = read_run(folder)
    this: Round = run.round(number)
    known = Known(read_document(agent_md).entries, read_archive(agent_md).entries)
    return digest(run, this, verdicts(run), known, kernel)


def fact_row(fact: Fact) -> dict[str, Any]:
    """One variant as JSON; null stays null."""
    variant = fact.variant
    return {
        "variant": variant.name,
        "status": variant.status,
        "class": fact.trust.status,
        "trust": fact.trust.level,
        "trust_codes": list(fact.trust.codes),
        "speedup": variant.speedup,
        "latency_ms": variant.latency_ms,
        "gain": fact.gain,
        "direction": variant.intent.direction or None,
        "motive": variant.intent.motive or None,
        "lineage": fact.lineage,
        "result": variant.path,
        "hash": variant.hash or None,
        "message": fact.message or None,
        "signature": fact.signature or None,
        "same_error_as": list(fact.alike),
        "similar": [
            {
                "id": each.entry.id,
                "title": each.entry.title,
                "status": evidence_of(each.entry).status,
                "score": each.score,
                "shared": list(each.shared[:12]),
            }
            for each in fact.candidates
        ],
        "suggestion": {"kind": fact.suggestion.kind, "why": fact.suggestion.why, "id": fact.suggestion.id},
    }
