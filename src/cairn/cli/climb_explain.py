"""`cairn climb explain`: one attempt, from its hypothesis to its end, and the rule behind each step."""

from pathlib import Path
from typing import Any

from cairn.cli.climbing import Outcome
from cairn.cli.tables import microseconds
from cairn.climb.checks import told
from cairn.climb.costs import ratio_words
from cairn.climb.failures import RULES
from cairn.climb.ledger import Ledger
from cairn.climb.state import Attempt, State, fold
from cairn.errors import Missing
from cairn.judge.verdict import REASONS
from cairn.registry import load_registry

_WHY = {
    "kept": "the judge found it cheaper than the champion by more than the margin; it is the champion's next commit",
    "advanced": "the best of its lineage, but not cheaper than the champion by the margin",
    "discarded": "correct, but not cheaper, or wrong: the reason says which",
    "inconclusive": "the difference is too small to tell, and it is not plainly simpler",
    "rejected": "something that must not happen did",
    "crashed": "it does not compile or run",
    "duplicate": "the same program text was judged before, on the same champion in the same environment",
    "refused": "its idea class rests after repeated losses",
    "nothing": "the agent changed nothing",
    "failed": "the agent, not the idea, failed",
    "check_failed": "the judge would have kept it, but a post-check failed",
    "probe": "a probe finds something out; it is never promoted",
    "exhausted": "the agent had nothing left to try",
}


def explain_attempt(which: str, name: str | None, root: Path | None, registry_path: Path | None) -> Outcome:
    """Everything known about an attempt; `which` may be `NAME/a0003`.

    Raises:
        Missing: no climb has it.
    """
    climb, _, attempt_id = which.rpartition("/")
    runs = load_registry(root or Path.cwd(), registry_path).paths.runs
    folder, state = _find(runs, name or climb, attempt_id)
    attempt = state.attempts[attempt_id]
    reason = REASONS.get(attempt.reason)
    rule = RULES.get(attempt.failure)
    data: dict[str, Any] = {
        "climb": folder.name,
        **vars(attempt),
        "reason_means": reason[2] if reason else None,
        "failure_means": rule.meaning if rule else None,
        "failure_rule": rule.action if rule else None,
        "decision_means": _WHY.get(attempt.decision),
        "files": sorted(str(path) for path in (folder / "attempts" / attempt_id).glob("*")),
    }
    return Outcome(data, lambda: _text(attempt, data))


def _find(runs: Path, name: str, attempt: str) -> tuple[Path, State]:
    ledgers = [runs / name / "ledger.jsonl"] if name else list(runs.glob("*/ledger.jsonl"))
    ledgers = sorted((path for path in ledgers if path.is_file()), key=lambda path: -path.stat().st_mtime)
    for path in ledgers:
        state = fold(Ledger(path).events)
        if attempt in state.attempts:
            return path.parent, state
    where = f"the climb `{name}`" if name else f"any climb below {runs}"
    raise Missing(f"no attempt `{attempt}` in {where}", hint="cairn climb status PROBLEM lists them")


def _text(attempt: Attempt, data: dict[str, Any]) -> str:
    kind = "measured" if attempt.measured_us is not None else "predicted"
    ratio = ""
    if attempt.ratio is not None:
        ratio = f", {ratio_words(attempt.ratio, attempt.ratios)} of its incumbent"
    rows = {
        "attempt": f"{attempt.id} of {data['climb']}, {attempt.phase}",
        "agent": " ".join(filter(None, (attempt.agent, attempt.model))),
        "from": attempt.parent,
        "lineage": attempt.lineage,
        "direction": attempt.direction,
        "hypothesis": attempt.hypothesis,
        "expected (claimed)": attempt.expected_effect,
        "evidence (claimed)": attempt.evidence,
        "idea class": attempt.idea_class,
        "agent failed": attempt.agent_failure,
        "failure class": f"{attempt.failure}: {data['failure_means']}" if attempt.failure else "",
        "the loop then": data["failure_rule"] or "",
        "not judged": attempt.refused,
        "verdict": f"{attempt.verdict} ({attempt.reason}): {data['reason_means']}" if attempt.verdict else "",
        "detail": attempt.detail,
        "cost": f"{microseconds(attempt.cost_us)} us {kind}{ratio}" if attempt.cost_us is not None else "",
        "receipt": attempt.receipt,
        "post-checks": "; ".join(told(each) for each in attempt.checks),
        "decision": f"{attempt.decision}: {data['decision_means']}" if attempt.decision else "",
        "commit": attempt.commit,
        "seconds": f"agent {attempt.agent_s:.1f}, judge {attempt.judge_s:.1f}",
        "tokens": str(attempt.tokens) if attempt.usage else "",
        "money": f"{attempt.cost_usd:.4f} USD" if attempt.cost_usd is not None else "",
        "files": "\n  ".join(["", *data["files"]]),
    }
    return "\n".join(f"{name}: {value}" for name, value in rows.items() if value)
