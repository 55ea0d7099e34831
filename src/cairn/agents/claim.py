"""What an agent says about its own edit: a small JSON object in its last words. Nobody has checked any of it.

    {"hypothesis": "...", "expected_effect": "...", "evidence": "...", "idea_class": "...", "reject_if": "..."}

Junk is tolerated, because a good edit with a bad account is still a good edit: without a usable object the first
line of the message is the hypothesis, and the rest is empty. No number in it decides anything.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TEXT_LIMIT = 300
_WINDOW = 16_384  # characters at the end of a message in which a claim is looked for
_BRACES_TRIED = 64
_KEYS = ("hypothesis", "expected_effect", "evidence", "idea_class", "reject_if")


@dataclass(frozen=True)
class Claim:
    """The five texts of a claim, each one printable line of at most 300 characters, or empty."""

    hypothesis: str = ""
    expected_effect: str = ""
    evidence: str = ""
    idea_class: str = ""
    reject_if: str = ""


def read_claim(message: str) -> Claim:
    """The claim of a last message: its last JSON object with a `hypothesis`, else its first line."""
    found = last_object(message)
    return claim_of(found) if found else Claim(hypothesis=one_line(_first_line(message)))


def claim_of(account: Mapping[str, Any]) -> Claim:
    """The claim of an account that was read already; what is no text in it is empty."""
    texts = (account.get(key) for key in _KEYS)
    return Claim(*(one_line(text) if isinstance(text, str) else "" for text in texts))


def last_object(text: str) -> dict[str, Any]:
    """The last JSON object of a text with a `hypothesis`; empty when there is none."""
    return next(_objects_from_the_end(text[-_WINDOW:], "hypothesis"), {})


def _objects_from_the_end(text: str, key: str) -> Iterator[dict[str, Any]]:
    """From the end backwards, so that a nested object is tried before the one that holds it and passed over."""
    decoder = json.JSONDecoder(strict=False)  # a raw newline inside a string is forgiven
    starts = [match.start() for match in re.finditer(r"\{", text)]
    for start in reversed(starts[-_BRACES_TRIED:]):
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get(key), str):
            yield value


def _first_line(message: str) -> str:
    for line in message.splitlines():
        if (stripped := line.strip(" \t#*>-`")) and not stripped.startswith("{"):
            return stripped
    return message


def one_line(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Text as one line of printable characters, cut with an ellipsis."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * limit]).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
