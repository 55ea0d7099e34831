"""What a client printed, in words that no single client owns, and how its JSON lines are read.

A line that is not a JSON object (a torn last one, a stray print) is passed over, and so is a value of a wrong type:
a client's output is never a reason to fail.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cairn.agents.protocol import Usage

_MOST_TOKENS = 10**12


@dataclass(frozen=True)
class Report:
    """What a client printed, in words that no single client owns.

    Attributes:
        completed: the client said that its turn ended.
        failure: the text of the failure that ended it, or None.
        last_message: the model's last words so far.
        last_error: the last warning; clients also warn of what they mend themselves.
        usage: tokens of the whole run, None when the client did not say.
        model: as the client names it.
        cost_usd: the client's own figure.
        billing: "api", "subscription" or "" when it cannot be told.
        retry_at: when a limit is lifted, if the client gave it as a time.
    """

    completed: bool = False
    failure: str | None = None
    last_message: str = ""
    last_error: str = ""
    usage: Usage | None = None
    model: str = ""
    cost_usd: float | None = None
    billing: str = ""
    retry_at: datetime | None = None


def events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects among the lines."""
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def child(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """An object inside an object; empty when there is none."""
    for key in keys:
        inner = value.get(key)
        value = inner if isinstance(inner, dict) else {}
    return value


def count(value: dict[str, Any], key: str) -> int:
    """A number of tokens; 0 for what is no such number, or more than anybody ever used."""
    found = value.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found < _MOST_TOKENS else 0


def dollars(value: object) -> float | None:
    """An amount; None for what is no finite amount."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if good else None  # type: ignore[arg-type]


def utc(epoch_s: object) -> datetime | None:
    """A time from a client's seconds since 1970; None for anything else."""
    if isinstance(epoch_s, int | float) and 0 < epoch_s < 1e11:
        return datetime.fromtimestamp(epoch_s, UTC)
    return None
