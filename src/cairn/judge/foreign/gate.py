"""The gate before learning: which results of somebody else's run may be believed, and why the others may not.

It reads files and runs nothing, so it finds what numbers betray by themselves. It does not find a forged number
that looks like a real one, work dropped from a program whose dump was not kept, or an edit of the reference.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import BadInput
from cairn.judge.foreign import metrics, provenance, timing
from cairn.judge.foreign.findings import HARD, NOTE, SEVERITIES, SEVERITY_OF, ResultFinding
from cairn.judge.foreign.reader import RESULT, ForeignResult, ForeignRun, finite, read_run
from cairn.judge.foreign.status import classify_result, decisive_line

TRUSTED, UNTRUSTED = "TRUSTED", "UNTRUSTED"
_BAD_BLOCK = {"iteration_outlier", "high_cv"}
_CHECKS = (*provenance.CHECKS, *timing.CHECKS, *metrics.CHECKS)
_BY_SEVERITY = {code: SEVERITIES.index(severity) for code, severity in SEVERITY_OF.items()}


@dataclass(frozen=True)
class VariantTrust:
    """One result's verdict. `status` is the mapped class, `message` the decisive line of a failure's error."""

    iteration: str
    variant: str
    verdict: str
    status: str
    message: str | None
    speedup: float | None
    reasons: tuple[ResultFinding, ...]
    path: str
    copies: tuple[str, ...]

    @property
    def hard(self) -> bool:
        """True when more is wrong than a missing fingerprint or a meaningless side figure."""
        return any(each.severity == HARD for each in self.reasons)


@dataclass(frozen=True)
class ResultsReport:
    """Verdicts on a run's results, findings about the run itself, and counts (each result once)."""

    variants: tuple[VariantTrust, ...]
    run_findings: tuple[ResultFinding, ...]
    counts: Mapping[str, int]

    @property
    def codes(self) -> dict[str, int]:
        """How many results each code concerns, gravest first."""
        found = Counter(code for each in self.variants for code in {reason.code for reason in each.reasons})
        found.update(each.code for each in self.run_findings)
        return dict(sorted(found.items(), key=lambda item: (_BY_SEVERITY[item[0]], item[0])))

    def trust(self, path: str) -> VariantTrust | None:
        """The verdict on the result file at `path` (relative to the run directory), also where it is a copy."""
        return next((each for each in self.variants if path in (each.path, *each.copies)), None)


def check_results(run_dir: Path) -> list[ResultFinding]:
    """Every reason to distrust a result of a pallas-evolve run directory, gravest first within a result.

    Raises:
        BadInput: the directory holds no results at all.
    """
    report = report_results(run_dir)
    return [reason for each in report.variants for reason in each.reasons] + list(report.run_findings)


def report_results(run_dir: Path) -> ResultsReport:
    """Read a run directory and give each result a verdict with all its reasons.

    Raises:
        BadInput: the directory holds no results at all.
    """
    run = read_run(run_dir)
    if not run.results:
        raise BadInput(
            "no results here", path=run_dir, hint=f"name a run directory: it holds iteration_*/variants/*/{RESULT}"
        )
    reasons: dict[tuple[str, str, str], list[ResultFinding]] = {}
    for check in _CHECKS:
        for found in check(run):
            reasons.setdefault((found.evidence[0], found.iteration, found.variant), []).append(found)
    variants = tuple(
        _trust(each, reasons.get((each.path, each.iteration, each.variant), [])) for each in run.results
    )
    missing = tuple(provenance.unresolved(run, lambda kernel: _is_there(run_dir, kernel)))
    return ResultsReport(variants, missing, _counts(run, variants))


def _trust(result: ForeignResult, reasons: list[ResultFinding]) -> VariantTrust:
    ordered = sorted(dict.fromkeys(reasons), key=lambda each: (_BY_SEVERITY[each.code], each.code, each.detail))
    believed = all(each.severity == NOTE for each in ordered)
    return VariantTrust(
        iteration=result.iteration,
        variant=result.variant,
        verdict=TRUSTED if believed else UNTRUSTED,
        status="INFRA" if result.fault else classify_result(result.data),
        message=decisive_line(result.data),
        speedup=finite(result.data.get("speedup")),
        reasons=tuple(ordered),
        path=result.path,
        copies=result.copies,
    )


def _counts(run: ForeignRun, variants: tuple[VariantTrust, ...]) -> dict[str, int]:
    blocks = [each for result in run.results for each in timing.timing_blocks(result) if each.times]
    return {
        "results": len(variants),
        "stored_twice": run.copies,
        "trusted": sum(each.verdict == TRUSTED for each in variants),
        "untrusted": sum(each.verdict == UNTRUSTED for each in variants),
        "untrusted_hard": sum(each.hard for each in variants),
        "stale_copies": timing.copies_in(timing.stale_groups(run)),
        "timing_blocks": len(blocks),
        "bad_timing_blocks": sum(any(code in _BAD_BLOCK for code, _ in each.faults()) for each in blocks),
    }


def _is_there(run_dir: Path, relative: str) -> bool:
    """Whether a path of a foreign file leads anywhere; one that the system refuses to look up does not."""
    try:
        return (run_dir / relative).exists()
    except (OSError, ValueError):
        return False
