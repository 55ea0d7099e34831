"""What `codex exec --json` says about a turn, read from its lines. Pure functions; tested against 0.169.0.

A turn failed when there is a `turn.failed` or the program's exit code is not 0, and for no other reason: `error`
events also announce retries that later succeed. Usage is in `turn.completed` only, so a failed turn has none.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cairn.agents.protocol import Usage

_TEXT_LIMIT = 300
_CLAIM_WINDOW = 16_384  # characters at the end of a message in which a claim is looked for
_BRACES_TRIED = 64

# The first class whose pattern is found wins. The texts are those of turn.failed and stderr, seen with 0.169.0
# (or, for logins, found in its strings); the model has no say in them.
_CLASSES = (
    (
        "rate_limit",
        r"\b429\b|rate.?limit|usage limit|quota|insufficient_quota|usage_limit_reached|is at capacity",
    ),
    (
        "auth",
        r"\b40[13] (?:unauthorized|forbidden)|missing environment variable|api key|not logged in|"
        r"(?:sign|log) ?in again|refresh token|could not be refreshed|with your ChatGPT plan|no Codex credentials",
    ),
    ("idle", r"idle timeout waiting for SSE"),
    ("not_found", r"^(?:/usr/bin/)?env: .*No such file or directory"),
)


@dataclass(frozen=True)
class Transcript:
    """One run of the client.

    Attributes:
        completed: a `turn.completed` was seen.
        failure: the message of `turn.failed`, or None.
        last_message: text of the model's last message so far.
        last_error: text of the last `error` event or item; a warning only.
    """

    completed: bool = False
    failure: str | None = None
    last_message: str = ""
    last_error: str = ""
    usage: Usage | None = None


@dataclass(frozen=True)
class Claim:
    """What the agent says it tried. Nobody has checked it."""

    hypothesis: str = ""
    expected_effect: str = ""
    idea_class: str = ""


def read_transcript(lines: Iterable[str]) -> Transcript:
    """Fold event lines; a line that is not a JSON object (a torn last one, a stray print) is passed over."""
    completed, failure, message, error, usage = False, None, "", "", None
    for line in lines:
        event = _event(line)
        item = _object(event.get("item"))
        match event.get("type"), item.get("type"):
            case "turn.completed", _:
                completed, usage = True, _usage(_object(event.get("usage")))
            case "turn.failed", _:
                failure = str(_object(event.get("error")).get("message") or "the turn failed")
            case "error", _:
                error = str(event.get("message", ""))
            case "item.completed", "agent_message":
                message = str(item.get("text", ""))
            case "item.completed", "error":
                error = str(item.get("message", ""))
    return Transcript(completed, failure, message, error, usage)


def _event(line: str) -> dict[str, Any]:
    try:
        return _object(json.loads(line))
    except (ValueError, RecursionError):
        return {}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _usage(counts: dict[str, Any]) -> Usage:
    def count(name: str) -> int:
        value = counts.get(name)
        return value if isinstance(value, int) else 0

    return Usage(count("input_tokens"), count("cached_input_tokens"), count("output_tokens"))


def classify_failure(text: str) -> str:
    """Class of a failure: `rate_limit`, `auth`, `idle`, `not_found`, or `agent_error` when nothing else fits."""
    for name, pattern in _CLASSES:
        if re.search(pattern, text, re.IGNORECASE | re.MULTILINE):
            return name
    return "agent_error"


def read_claim(message: str) -> Claim:
    """The claim of a last message: its last JSON object with a `hypothesis`, else its first line.

    Every text comes back as one printable line of at most 300 characters.
    """
    found = _last_object_with_hypothesis(message[-_CLAIM_WINDOW:])
    if found is None:
        return Claim(hypothesis=one_line(_first_line(message)))
    texts = (found.get(key) for key in ("hypothesis", "expected_effect", "idea_class"))
    return Claim(*(one_line(text) if isinstance(text, str) else "" for text in texts))


def _last_object_with_hypothesis(text: str) -> dict[str, Any] | None:
    """From the end backwards, so that a nested object is tried before the one that holds it and passed over."""
    decoder = json.JSONDecoder(strict=False)  # a raw newline inside a string is forgiven
    starts = [match.start() for match in re.finditer(r"\{", text)]
    for start in reversed(starts[-_BRACES_TRIED:]):
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get("hypothesis"), str):
            return value
    return None


def _first_line(message: str) -> str:
    for line in message.splitlines():
        if (stripped := line.strip(" \t#*>-`")) and not stripped.startswith("{"):
            return stripped
    return message


def one_line(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Text as one line of printable characters, cut with an ellipsis."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * limit]).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
