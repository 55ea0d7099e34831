"""What `cairn judge check-results` prints: the strong reasons first, the ubiquitous ones counted apart.

The texts come from files of strangers, so nothing in them reaches a terminal unescaped, and all output is bounded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cairn.cli.tables import rendered
from cairn.judge.foreign.findings import PROVENANCE, SEVERITIES, SEVERITY_OF, ResultFinding, named
from cairn.judge.foreign.gate import TRUSTED, ResultsReport, VariantTrust

_DETAIL_CHARS, _NAME_CHARS = 300, 80
_FILES = 8


def plain(text: str, limit: int = _DETAIL_CHARS) -> str:
    """One bounded line in which nothing can move a cursor or break an encoding."""
    line = "".join(each if each.isprintable() else " " if each.isspace() else ascii(each)[1:-1] for each in text)
    return line if len(line) <= limit else line[: limit - 4] + " ..."


def as_data(report: ResultsReport, run_dir: Path, limit: int) -> dict[str, Any]:
    """The report as one JSON object; counts cover the whole run, `variants` at most `limit` of it."""
    shown = _gravest_first(report)[:limit]
    return {
        "run": plain(str(run_dir)),
        "verdict": "UNTRUSTED" if report.counts["untrusted"] else TRUSTED,
        "counts": dict(report.counts),
        "codes": {code: {"severity": SEVERITY_OF[code], "results": n} for code, n in report.codes.items()},
        "variants": [_variant(each) for each in shown],
        "omitted": len(report.variants) - len(shown),
        "run_findings": [
            {"about": plain(each.variant, _NAME_CHARS), **_reason(each)} for each in report.run_findings[:limit]
        ],
    }


def _variant(trust: VariantTrust) -> dict[str, Any]:
    reasons: dict[str, list[dict[str, Any]]] = {severity: [] for severity in SEVERITIES}
    for each in trust.reasons:
        reasons[each.severity].append(_reason(each))
    return {
        "iteration": plain(trust.iteration, _NAME_CHARS),
        "variant": plain(trust.variant, _NAME_CHARS),
        "verdict": trust.verdict,
        "status": trust.status,
        "message": None if trust.message is None else plain(trust.message),
        "speedup": trust.speedup,
        "reasons": reasons,
        "path": plain(trust.path),
        "copies": [plain(each) for each in trust.copies[:_FILES]],
    }


def _reason(found: ResultFinding) -> dict[str, Any]:
    return {
        "code": found.code,
        "severity": found.severity,
        "detail": plain(found.detail),
        "evidence": [plain(each) for each in found.evidence[:_FILES]],
    }


def as_text(report: ResultsReport, limit: int) -> str:
    """The report for a person: one row a result, then each reason once, then how many results share a code."""
    shown = _gravest_first(report)[:limit]
    table = Table("round", "variant", "status", "claimed", "verdict", "reasons other than missing_fingerprint")
    for each in shown:
        codes = list(dict.fromkeys(reason.code for reason in each.reasons if reason.severity != PROVENANCE))
        claimed = "-" if each.speedup is None else f"{each.speedup:.4g}x"
        names = (plain(each.iteration, _NAME_CHARS), plain(each.variant, _NAME_CHARS))
        table.add_row(*names, each.status, claimed, each.verdict, ", ".join(codes) or "-")
    hidden = len(report.variants) - len(shown)
    more = [f"{hidden} more results; --limit {len(report.variants)} shows all"] if hidden else []
    return rendered(
        table, *more, *_details(shown, limit), *_run_lines(report, limit), _codes(report), _summary(report)
    )


def _details(shown: Sequence[VariantTrust], limit: int) -> list[str]:
    """Each different sentence once, with the results it is about."""
    about: dict[tuple[str, str], list[str]] = {}
    for each in shown:
        for reason in each.reasons:
            if reason.severity != PROVENANCE:
                about.setdefault((reason.code, reason.detail), []).append(f"{each.iteration}/{each.variant}")
    lines = [plain(f"{code}: {detail} [{named(names)}]") for (code, detail), names in about.items()]
    more = [f"{len(lines) - limit} more reasons; --json has them"] if len(lines) > limit else []
    return lines[:limit] + more


def _run_lines(report: ResultsReport, limit: int) -> list[str]:
    return [plain(f"{each.variant}: {each.code}: {each.detail}") for each in report.run_findings[:limit]]


def _codes(report: ResultsReport) -> str:
    lines = []
    for severity in SEVERITIES:
        codes = [f"{code} {n}" for code, n in report.codes.items() if SEVERITY_OF[code] == severity]
        if codes:
            lines.append(f"{severity}: {', '.join(codes)}")
    return "\n".join(lines) or "nothing found"


def _summary(report: ResultsReport) -> str:
    n = report.counts
    twice = f" ({n['stored_twice']} more files repeat one)" if n["stored_twice"] else ""
    return (
        f"{n['results']} results{twice}: {n['trusted']} TRUSTED, {n['untrusted']} UNTRUSTED, "
        f"{n['untrusted_hard']} of them for a hard reason; {n['stale_copies']} stale copies, "
        f"{n['bad_timing_blocks']} of {n['timing_blocks']} timing blocks bad"
    )


def _gravest_first(report: ResultsReport) -> list[VariantTrust]:
    return sorted(report.variants, key=lambda each: (not each.hard, each.verdict == TRUSTED))
