"""What `claude -p --output-format stream-json --verbose` prints, read from its lines. Tested against 2.1.330.

A run failed when its `result` says `is_error`, or the program's exit code is not 0; `subtype` stays "success" also
when the API refused. Usage and cost are those of the whole run and stand in the `result` only; a run that was cut
short has neither, so its tokens are summed from the messages.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from cairn.agents.protocol import Usage
from cairn.agents.report import Report, child, count, dollars, events, utc

_SYNTHETIC = "<synthetic>"  # the model of a message that the client itself wrote


def read_report(lines: Iterable[str]) -> Report:
    """Fold event lines."""
    report, seen = Report(), _Seen()
    for event in events(lines):
        match event.get("type"):
            case "system" if event.get("subtype") == "init":
                source = event.get("apiKeySource")
                billing = "subscription" if source == "none" else "api" if isinstance(source, str) else ""
                report = replace(report, model=str(event.get("model") or ""), billing=billing)
            case "assistant":
                seen.add(child(event, "message"))
            case "rate_limit_event":
                seen.limit(child(event, "rate_limit_info"))
            case "result":
                report = _ended(report, event)
    return replace(
        report,
        last_message=seen.message or report.last_message,
        usage=report.usage or seen.usage(),
        retry_at=seen.retry_at,
    )


def _ended(report: Report, event: dict[str, Any]) -> Report:
    said = str(event.get("result") or event.get("subtype") or "")
    failure = None
    if event.get("is_error"):
        status = event.get("api_error_status")
        failure = f"{status}: {said}" if isinstance(status, int) else said or "the run failed"
    usage = _usage(child(event, "usage"))
    cost = dollars(event.get("total_cost_usd"))
    return replace(report, completed=True, failure=failure, last_message=said, usage=usage, cost_usd=cost)


class _Seen:
    """What the messages of a run said, for a run that has no result."""

    def __init__(self) -> None:
        self.message = ""
        self.retry_at: datetime | None = None
        self._usages: dict[str, Usage] = {}

    def add(self, message: dict[str, Any]) -> None:
        if message.get("model") == _SYNTHETIC:
            return
        content = message.get("content")
        texts = (
            [part.get("text") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
        )
        said = "\n".join(text for text in texts if isinstance(text, str))
        self.message = said or self.message
        # one message comes in several events, each with its usage so far
        self._usages[str(message.get("id"))] = _usage(child(message, "usage"))

    def limit(self, info: dict[str, Any]) -> None:
        if info.get("status") == "rejected":
            self.retry_at = utc(info.get("resetsAt"))

    def usage(self) -> Usage | None:
        if not self._usages:
            return None
        columns = zip(*(vars(usage).values() for usage in self._usages.values()), strict=True)
        return Usage(*(sum(column) for column in columns))


def _usage(counts: dict[str, Any]) -> Usage:
    """This API counts tokens from and to a cache apart from the input; here they are part of it."""
    read, written = (count(counts, f"cache_{what}_input_tokens") for what in ("read", "creation"))
    fresh = count(counts, "input_tokens")
    return Usage(fresh + read + written, read, count(counts, "output_tokens"), written)
