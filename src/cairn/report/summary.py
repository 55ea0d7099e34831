"""What follows from the rows of a run: the claim, the counts, what was lost. Computed here for every surface."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cairn.report.rows import Anchor, Attempt, Run

VERDICTS = ("KEEP", "DISCARD", "INCONCLUSIVE", "INVALID", "CRASH")
NOT_JUDGED = "not judged"
_SAID = {"nothing": "nothing changed"}  # decisions that say too little by themselves
_NO_LOSS = {"duplicate", "nothing", "exhausted", "refused", "check_failed", "probe"}  # the agent did its work


@dataclass(frozen=True)
class Claim:
    """How much better the champion is than a fixed point of the run.

    `times`: cost of the fixed point over the champion's. `low`, `high`: where it lies when both costs err to the far
    ends of their intervals (predicted), or the interval of the paired measurement. `confirmed`: from a judgement of
    the champion against the baseline with fresh seeds, whose `verdict` it has; otherwise from two receipts.
    """

    times: float
    low: float | None
    high: float | None
    kind: str
    against: str
    receipt: str
    confirmed: bool
    verdict: str = ""


@dataclass(frozen=True)
class Failure:
    """Attempts that came to nothing for one reason, and how the first of them put it."""

    reason: str
    verdict: str
    count: int
    example: str
    seconds: float


@dataclass(frozen=True)
class Spent:
    """What a run took. `lost_s`: agent time of attempts that gave the judge nothing, by a failure or a kill."""

    agent_s: float
    judge_s: float
    lost_s: float
    lost_attempts: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_usd: float | None
    priced_attempts: int


@dataclass(frozen=True)
class Summary:
    """Everything that is derived from a run."""

    claim: Claim | None
    of_floor: float | None
    kept: list[Attempt]
    verdicts: dict[str, int]
    failures: list[Failure]
    spent: Spent
    done: int


def summarise(run: Run) -> Summary:
    """Derive."""
    champion = run.anchor("champion")
    done = [each for each in run.attempts if each.decision]
    counts = Counter(each.verdict or NOT_JUDGED for each in done)
    return Summary(
        claim=claim_of(run),
        of_floor=run.target_us / champion.us if champion and champion.us and run.target_us else None,
        kept=[each for each in run.attempts if is_kept(each)],
        verdicts={name: counts[name] for name in (*VERDICTS, NOT_JUDGED) if counts[name]},
        failures=_failures(done),
        spent=_spent(run.attempts),
        done=len(done),
    )


def is_kept(attempt: Attempt) -> bool:
    """Whether an attempt became part of the champion's line."""
    return attempt.decision == "kept"


def claim_of(run: Run) -> Claim | None:
    """The champion against the original baseline; the confirmed number where there is one."""
    confirmed = run.confirmation
    baseline, champion = run.anchor("baseline"), run.anchor("champion")
    name = baseline.name if baseline else "baseline"
    if confirmed is not None and confirmed.ratio:
        low = 1 / confirmed.ratio_high if confirmed.ratio_high else None
        high = 1 / confirmed.ratio_low if confirmed.ratio_low else None
        if low is None and baseline and champion:
            low, high = _far_ends(baseline, champion)
        times, verdict = 1 / confirmed.ratio, f"{confirmed.verdict} ({confirmed.reason})"
        return Claim(times, low, high, confirmed.kind, name, confirmed.receipt, True, verdict)
    if run.source == "rounds":
        return _best_reported(run)
    if baseline is None or champion is None or not baseline.us or not champion.us:
        return None
    low, high = _far_ends(baseline, champion)
    return Claim(baseline.us / champion.us, low, high, run.kind, name, champion.receipt, False)


def _far_ends(baseline: Anchor, champion: Anchor) -> tuple[float | None, float | None]:
    low = baseline.low_us / champion.high_us if baseline.low_us and champion.high_us else None
    high = baseline.high_us / champion.low_us if baseline.high_us and champion.low_us else None
    return low, high


def _best_reported(run: Run) -> Claim | None:
    """The largest gain that a round reported and nothing contradicts."""
    gains = [each.speedup for each in run.attempts if each.speedup is not None and each.verdict != "INVALID"]
    return Claim(max(gains), None, None, "reported", "its reference", "", False) if gains else None


def gain_line(run: Run) -> list[tuple[int, float]]:
    """(number of the attempt, best reported gain so far), where it rises."""
    line: list[tuple[int, float]] = []
    for at, each in enumerate(run.attempts, start=1):
        if each.speedup is not None and each.verdict != "INVALID" and (not line or each.speedup > line[-1][1]):
            line.append((at, each.speedup))
    return line


def champion_line(run: Run) -> list[tuple[int, float]]:
    """(number of the attempt, cost of the champion after it); attempt 0 is the start."""
    start = run.anchor("start")
    line = [(0, start.us)] if start and start.us else []
    line += [(at, each.us) for at, each in enumerate(run.attempts, start=1) if is_kept(each) and each.us]
    return line


def cause(attempt: Attempt) -> str:
    """Why an attempt was not kept, in one word where the judge or the loop has one."""
    return attempt.reason or attempt.failure or _SAID.get(attempt.decision, attempt.decision)


def _failures(attempts: Sequence[Attempt]) -> list[Failure]:
    groups: dict[tuple[str, str], list[Attempt]] = {}
    for each in attempts:
        if not is_kept(each) and each.verdict != "KEEP":
            reason = cause(each) or "unknown"
            groups.setdefault((each.verdict or NOT_JUDGED, reason), []).append(each)
    rows = [
        Failure(reason, verdict, len(each), each[0].detail, sum(map(_seconds, each)))
        for (verdict, reason), each in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row.count, row.reason))


def _seconds(attempt: Attempt) -> float:
    return (attempt.agent_s or 0.0) + (attempt.judge_s or 0.0)


def _spent(attempts: Sequence[Attempt]) -> Spent:
    lost = [each for each in attempts if not each.verdict and each.decision and each.decision not in _NO_LOSS]
    priced = [each.cost_usd for each in attempts if each.cost_usd is not None]
    return Spent(
        agent_s=sum(each.agent_s or 0.0 for each in attempts),
        judge_s=sum(each.judge_s or 0.0 for each in attempts),
        lost_s=sum(map(_seconds, lost)),
        lost_attempts=len(lost),
        input_tokens=sum(each.input_tokens or 0 for each in attempts),
        cached_input_tokens=sum(each.cached_input_tokens or 0 for each in attempts),
        output_tokens=sum(each.output_tokens or 0 for each in attempts),
        cost_usd=sum(priced) if priced else None,
        priced_attempts=len(priced),
    )
