"""The nine ways in which an attempt fails, and the one rule that the loop has for each.

Everything that can go wrong is sorted into one of them: what an agent reports, what the judge finds, what the
machine does. A failure that would come again in the same way is never tried again without a change.
"""

from collections.abc import Mapping
from dataclasses import dataclass

AGENT, COMPILE, WRONG, INFRA, AUTH = "agent", "compile", "wrong", "infra", "auth"
RATE_LIMIT, TIMEOUT, DISK, CHEAT = "rate_limit", "timeout", "disk", "cheat"


@dataclass(frozen=True)
class Rule:
    """What the loop does about a class.

    `counts`: it is an attempt that is over, and a failure; otherwise the attempt is put aside and not counted.
    `repeats`: how often the same step is tried again. `ends`: the climb ends at once.
    """

    meaning: str
    action: str
    counts: bool = True
    repeats: int = 0
    ends: bool = False


RULES: Mapping[str, Rule] = {
    AGENT: Rule(
        "the agent crashed, gave up, wrote too much or left something that is no file",
        "the attempt is over; the next one starts afresh; three alike in a row end the climb",
    ),
    COMPILE: Rule(
        "the variant cannot be imported, traced or compiled",
        "never tried again; the message goes into the next prompt, and the same text is refused",
    ),
    WRONG: Rule(
        "an output is wrong or not finite, or the program breaks while it runs",
        "never tried again, as for compile",
    ),
    INFRA: Rule(
        "the agent's service, the judge's own processes, git or the network failed; nothing is known of the idea",
        "the edit is kept and judged again, or the agent asked again, after a growing pause; then the climb ends "
        "with the attempt still queued",
        counts=False,
        repeats=4,
    ),
    AUTH: Rule(
        "no program, no key, no credit, or settings that the agent's client refuses",
        "the climb ends at once: only a person can mend it",
        ends=True,
    ),
    RATE_LIMIT: Rule(
        "too many requests, or a usage limit",
        "waits until the limit is lifted, as far as the budgets reach, then asks again",
        counts=False,
        repeats=10,
    ),
    TIMEOUT: Rule(
        "the agent was silent or busy for too long, or the variant did not answer",
        "the attempt is over; what the agent left is not judged",
    ),
    DISK: Rule(
        "no room to write",
        "the agent is stopped and its folder removed; if there is room then, the climb goes on, otherwise it ends "
        "with everything that was announced on disk",
        ends=False,
    ),
    CHEAT: Rule(
        "a frozen file was changed, an answer forged, or physics beaten",
        "rejected, never tried again; a receipt says why",
    ),
}

OF_AGENT: Mapping[str, str] = {
    "agent_error": AGENT,
    "context": AGENT,
    "output": AGENT,
    "infra": INFRA,
    "cancelled": INFRA,
    "auth": AUTH,
    "not_found": AUTH,
    "settings": AUTH,
    "quota": AUTH,
    "rate_limit": RATE_LIMIT,
    "timeout": TIMEOUT,
    "idle": TIMEOUT,
    "disk": DISK,
}
_OF_MEASUREMENT: Mapping[str, str] = {
    "WRONG_OUTPUT": WRONG,
    "NON_FINITE": WRONG,
    "RUNTIME_ERROR": WRONG,
    "CHEAT": CHEAT,
    "UNTRUSTED": CHEAT,
    "TRACE_ERROR": COMPILE,
    "COMPILE_ERROR": COMPILE,
    "VMEM_OOM": COMPILE,
    "TIMEOUT": TIMEOUT,
}
# ends of a judge's helper that can come from outside, such as a machine short of memory: looked at again
DOUBTFUL = frozenset({"killed", "exited", "crash"})


def class_of_agent(reason: str) -> str:
    """The class of what an agent reported; what is not known counts as the agent's own failure."""
    return OF_AGENT.get(reason, AGENT) if reason else ""


def class_of_receipt(receipt: Mapping[str, object]) -> str:
    """The class of what the judge found; empty when the variant was judged on its merits."""
    return _OF_MEASUREMENT.get(str(receipt.get("class")), "")


def pause_s(failures_in_a_row: int) -> float:
    """How long to wait before the next try: 5 s, doubled each time, at most five minutes."""
    return float(min(300.0, 5.0 * 2.0 ** max(0, failures_in_a_row - 1)))


def rules_table() -> str:
    """The taxonomy as a Markdown table, for the documentation."""
    rows = [
        f"| `{name}` | {rule.meaning} | {rule.action} | {'yes' if rule.counts else 'no'} | {rule.repeats or 'never'} |"
        for name, rule in RULES.items()
    ]
    head = [
        "| class | what it is | what the loop does | counts as an attempt | repeated |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows])
