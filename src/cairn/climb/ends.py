"""When a climb is over, why, and with which exit code; every limit is asked before an attempt is begun."""

from dataclasses import dataclass

from cairn.climb.failures import AUTH
from cairn.climb.policy import since_champion
from cairn.climb.spec import COUNT, FAIL, ClimbSpec
from cairn.climb.state import Attempt, State

_ALIKE_IN_A_ROW, _FAILURES_IN_A_ROW = 3, 8
_LAST = 3
_DETAIL_CHARS = 300


@dataclass(frozen=True)
class End:
    """A reason to stop: the exit code of the command, and what it means."""

    code: int
    meaning: str


ENDS: dict[str, End] = {
    "attempts_done": End(0, "as many attempts as asked for"),
    "search_space_exhausted": End(0, "the agent has nothing left to try"),
    "wall_clock": End(0, "the time of this launch is used up"),
    "tokens": End(0, "another attempt would not fit the budget of tokens"),
    "money": End(0, "another attempt would not fit the budget of money"),
    "device_minutes": End(0, "the time on the device is used up"),
    "stall": End(0, "so many attempts in a row brought nothing"),
    "plateau": End(0, "the champion is as near to the floor as asked for"),
    "stopped": End(0, "`cairn climb stop` asked for it"),
    "money_unknown": End(1, "there is a budget of money, but the agent does not say what it costs"),
    "agent_keeps_failing": End(1, "the agent failed again and again"),
    "too_many_failures": End(1, "more failures than --max-failures allows"),
    "no_change": End(1, "an attempt changed nothing, and the policy is to fail"),
    "post_check_failed": End(1, "a post-check failed, and the policy is to fail"),
    "sync_conflict": End(1, "the main branch does not merge into the champion, and the policy is to fail"),
    "agent_not_found": End(69, "the agent's program is not there; in the copy there are only committed files"),
    "agent_auth": End(69, "the agent is not logged in, or its key is refused"),
    "agent_settings": End(69, "the agent's client refuses its settings or the model"),
    "agent_quota": End(69, "the agent's credit is used up"),
    "rate_limit": End(75, "the agent's limit lasts longer than the budgets reach"),
    "agent_infra": End(75, "the agent's service stayed down"),
    "judge_infra": End(75, "the judge could not finish; the attempt is queued for the next launch"),
    "disk_full": End(75, "no room to write; nothing that was announced is lost"),
    "interrupted": End(130, "Ctrl-C, SIGTERM or a hang-up"),
}


def ends_table() -> str:
    """The reasons as a Markdown table, for the documentation."""
    rows = [f"| `{name}` | {end.code} | {end.meaning} |" for name, end in ENDS.items()]
    return "\n".join(["| reason | exit code | meaning |", "|---|---|---|", *rows])


def reason_to_stop(state: State, spec: ClimbSpec, wall_left_s: float) -> str | None:
    """Why the climb is over, or None to go on.

    Attempts and costs count over all launches. What an agent said or failed at counts in its own launch only: whoever
    starts the next one has mended it, or brings another agent.
    """
    decided, budgets = state.decided, spec.budgets
    of_launch = decided[state.decided_before :]
    if of_launch and (reason := _said_by_last(of_launch[-1], spec)):
        return reason
    if _keeps_failing(of_launch, spec):
        return "agent_keeps_failing"
    if 0 <= budgets.max_failures < state.totals.failures:
        return "too_many_failures"
    if len(decided) >= spec.attempts:
        return "attempts_done"
    if wall_left_s <= 0:
        return "wall_clock"
    if budgets.stall is not None and len(since_champion(decided)) >= budgets.stall:
        return "stall"
    if budgets.plateau is not None and share_of_floor(state) >= budgets.plateau:
        return "plateau"
    return _spent(state, spec)


def last_words(state: State, reason: str) -> str:
    """What the last attempt says of an end that a failure brought: the message that a person has to act on."""
    last = next(reversed(state.attempts.values()), None)
    if not ENDS[reason].code or reason == "interrupted" or last is None or not last.failure:
        return ""
    return f"{last.id}: {last.detail}"[:_DETAIL_CHARS]


def _said_by_last(last: Attempt, spec: ClimbSpec) -> str | None:
    if last.status == "exhausted":
        return "search_space_exhausted"
    if last.failure == AUTH:
        return f"agent_{last.agent_failure}"
    if last.decision == "nothing" and spec.no_commit == FAIL:
        return "no_change"
    if last.decision == "check_failed" and spec.checks.policy == FAIL:
        return "post_check_failed"
    return None


def _keeps_failing(decided: list[Attempt], spec: ClimbSpec) -> bool:
    """Three failures of one kind, or eight of any; with `resilient` only the budgets end it."""
    if spec.resilient:
        return False
    tail = decided[-_FAILURES_IN_A_ROW:]
    if len(tail) == _FAILURES_IN_A_ROW and all(attempt.status == "failed" for attempt in tail):
        return True
    tail = tail[-_ALIKE_IN_A_ROW:]
    if len(tail) < _ALIKE_IN_A_ROW or not all(attempt.status == "failed" for attempt in tail):
        return False
    return len({(attempt.agent_failure, attempt.signature) for attempt in tail}) == 1


def _spent(state: State, spec: ClimbSpec) -> str | None:
    """Budgets of tokens, money and device time; the next attempt is taken to cost as much as the dearest of late."""
    budgets, totals = spec.budgets, state.totals
    late = [attempt for attempt in list(state.attempts.values())[-_LAST:] if attempt.status]
    if budgets.tokens is not None:
        coming = max((attempt.tokens for attempt in late), default=0)
        if totals.tokens + coming > budgets.tokens or totals.tokens >= budgets.tokens:
            return "tokens"
    if budgets.cost_usd is not None:
        if totals.cost_unknown:
            return "money_unknown"
        dearest = max((attempt.cost_usd or 0.0 for attempt in late), default=0.0)
        if totals.cost_usd + dearest > budgets.cost_usd or totals.cost_usd >= budgets.cost_usd:
            return "money"
    if budgets.device_s is not None and totals.judge_s >= budgets.device_s:
        return "device_minutes"
    return None


def share_of_floor(state: State) -> float:
    """The target floor divided by the champion's cost: 1.0 is there; 0 when either is unknown."""
    floor = (state.measured or {}).get("floor_us")
    return float(floor / state.champion_us) if floor and state.champion_us else 0.0


def counts_as_failure(attempt: Attempt, decision: str, spec: ClimbSpec) -> bool:
    """Whether a decided attempt uses up the budget of failures."""
    if decision == "nothing":
        return spec.no_commit in (COUNT, FAIL)
    if decision == "check_failed":
        return spec.checks.policy in (COUNT, FAIL)
    return bool(attempt.failure)
