"""What an agent says, made fit for the ledger: one claim, redacted, printable, bounded."""

from typing import Any

from cairn.agents.protocol import EditOutcome
from cairn.text.redact import redact

_LONGEST = 2000


def clean(text: object, limit: int = _LONGEST) -> str:
    """Text without secrets, control characters or half surrogates, of bounded length."""
    raw = str(text)[: 4 * limit].encode("utf-8", "replace").decode("utf-8")
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in raw)
    return redact(printable)[0].strip()[:limit]


def claim_fields(outcome: EditOutcome) -> dict[str, Any]:
    """The parts of an outcome that are words and figures of the agent."""
    return {
        "hypothesis": clean(outcome.hypothesis),
        "expected_effect": clean(outcome.expected_effect, 300),
        "evidence": clean(outcome.evidence),
        "idea_class": clean(outcome.idea_class, 100).casefold(),
        "reject_if": clean(outcome.reject_if, 300),
        "model": clean(outcome.model, 100),
        "usage": vars(outcome.usage) if outcome.usage else None,
        "cost_usd": outcome.cost_usd,
        "cost_basis": outcome.cost_basis,
        "agent_failure": clean(outcome.reason, 40),
    }
