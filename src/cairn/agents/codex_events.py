"""What `codex exec --json` says about a turn, read from its lines. Pure functions; tested against 0.169.0.

A turn failed when there is a `turn.failed` or the program's exit code is not 0, and for no other reason: `error`
events also announce retries that later succeed. Usage is in `turn.completed` only, so a failed turn has none.
"""

from collections.abc import Iterable
from typing import Any

from cairn.agents.protocol import Usage
from cairn.agents.report import Report, child, count, events


def read_report(lines: Iterable[str], billing: str = "") -> Report:
    """Fold event lines."""
    completed, failure, message, error, usage = False, None, "", "", None
    for event in events(lines):
        item = child(event, "item")
        match event.get("type"), item.get("type"):
            case "turn.completed", _:
                completed, usage = True, _usage(child(event, "usage"))
            case "turn.failed", _:
                failure = str(child(event, "error").get("message") or "the turn failed")
            case "error", _:
                error = str(event.get("message", ""))
            case "item.completed", "agent_message":
                message = str(item.get("text", ""))
            case "item.completed", "error":
                error = str(item.get("message", ""))
    return Report(completed, failure, message, error, usage, billing=billing)


def _usage(counts: dict[str, Any]) -> Usage:
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "cache_write_input_tokens")
    return Usage(*(count(counts, name) for name in names))
