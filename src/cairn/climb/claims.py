"""What an agent says, made fit for the ledger: one claim, redacted, printable, bounded."""

import functools
import json
from typing import Any

from cairn.agents.protocol import EditOutcome
from cairn.climb.references import read_reference
from cairn.text.redact import redact

_LONGEST = 2000


def clean(text: object, limit: int = _LONGEST) -> str:
    """Text without secrets, control characters or half surrogates, of bounded length."""
    raw = str(text)[: 4 * limit].encode("utf-8", "replace").decode("utf-8")
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in raw)
    return redact(printable)[0].strip()[:limit]


def claim_fields(outcome: EditOutcome) -> dict[str, Any]:
    """The parts of an outcome that are words and figures of the agent.

    A program that prints its prompt has said nothing by the example in it: such texts are empty.
    """
    own = {name: getattr(outcome, name) for name in example()}
    said = {name: "" if text == example()[name] else text for name, text in own.items()}
    return {
        "hypothesis": clean(said["hypothesis"]),
        "expected_effect": clean(said["expected_effect"], 300),
        "evidence": clean(said["evidence"]),
        "idea_class": clean(said["idea_class"], 100).casefold(),
        "reject_if": clean(said["reject_if"], 300),
        "model": clean(outcome.model, 100),
        "usage": vars(outcome.usage) if outcome.usage else None,
        "cost_usd": outcome.cost_usd,
        "cost_basis": outcome.cost_basis,
        "agent_failure": clean(outcome.reason, 40),
    }


@functools.cache
def example() -> dict[str, str]:
    """The answer that the prompt shows: the object in `attempt-answer.md`."""
    text = read_reference("attempt-answer")
    return dict(json.loads(text[text.index("{") :]))
