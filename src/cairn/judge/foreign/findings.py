"""What the result gate can find, and how much each finding weighs.

`hard`: the number is contradicted, or nothing shows that it is a kernel's time. `metric`: a derived figure means
nothing; the time beside it may be right. `provenance`: it cannot be told what was measured where; nearly every
foreign result lacks this, so it stands apart and hides nothing. These three make a result UNTRUSTED; `note` does
not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cairn.judge.foreign.reader import ForeignResult

HARD, METRIC, PROVENANCE, NOTE = "hard", "metric", "provenance", "note"
SEVERITIES = (HARD, METRIC, PROVENANCE, NOTE)
SEVERITY_OF = {
    "unreadable": HARD,
    "non_finite": HARD,
    "identical_timing": HARD,
    "identical_reference": HARD,
    "identical_counters": HARD,
    "iteration_outlier": HARD,
    "high_cv": HARD,
    "truncated_capture": HARD,
    "mixed_timing_source": HARD,
    "above_roofline": HARD,
    "reference_drift": HARD,
    "reference_failed": HARD,
    "no_timing_samples": HARD,
    "no_parameters": HARD,
    "scalar_output": HARD,
    "source_mismatch": HARD,
    "constant_metric": METRIC,
    "not_final_bundles": METRIC,
    "missing_fingerprint": PROVENANCE,
    "misfiled_status": NOTE,
    "evidence_missing": NOTE,
}
_NAMED = 8


@dataclass(frozen=True)
class ResultFinding:
    """One reason, of one result. `evidence` are the files that show it, relative to the run directory."""

    iteration: str
    variant: str
    code: str
    detail: str
    evidence: tuple[str, ...]

    @property
    def severity(self) -> str:
        return SEVERITY_OF[self.code]


def finding(
    result: ForeignResult, code: str, detail: str, others: Sequence[ForeignResult] = (), file: str | None = None
) -> ResultFinding:
    """A finding about `result`; `others` are further witnesses, `file` one beside the result."""
    paths = [result.path, *(each.path for each in others)]
    if file is not None:
        paths.append(result.path.rpartition("/")[0] + f"/{file}")
    return ResultFinding(result.iteration, result.variant, code, detail, tuple(dict.fromkeys(paths)))


def named(values: Sequence[str]) -> str:
    """A bounded list for a sentence."""
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    return ", ".join(values[:_NAMED]) + more
