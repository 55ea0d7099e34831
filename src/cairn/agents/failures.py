"""Which class a failure belongs to, and when a limit is lifted, read from what the clients say.

The texts are those of the clients' own errors, seen with Codex 0.169.0, Claude Code 2.1.330, Gemini CLI 0.61.0 and
opencode 1.18.33, or found in their strings. A model has no say in them, so a kernel's author cannot talk itself
into a pause.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo


def _status(codes: str) -> str:
    """Pattern of an HTTP status that stands alone: `/tmp/run-503/home` and `0.429` are no server's answers."""
    return rf"(?<![\w./-])(?:{codes})(?![\w/-]|\.\d)"


# the first class whose pattern is found wins. A read-only file system is no full disk: it is how the fence says no
_CLASSES = (
    ("not_found", r"^env: .*No such file or directory|command not found$|: not found$"),
    ("disk", r"no space left on device|\bENOSPC\b|disk quota exceeded"),
    ("rate_limit", r"RESOURCE_EXHAUSTED|(?:retry|try again) (?:in|after|at) (?:\w{3} )?\d|\bresets? (?:at|in|\d)"),
    (
        "quota",
        r"insufficient_quota|check your plan and billing|exceeded your current quota|credit balance is too low|"
        r"out of (?:usage )?credits|billing_error|spend limit",
    ),
    (
        "rate_limit",
        _status("429") + r"|rate.?limit|usage.?limit|(?:session|weekly|hourly|daily|opus) limit|hit your .{0,20}limit|"
        r"limit reached|quota|too many requests|RESOURCE_EXHAUSTED|is at capacity",
    ),
    (
        "auth",
        _status("401|403 forbidden") + r"|missing environment variable|api.?key|not logged in|"
        r"(?:sign|log) ?in again|refresh token|could not be refreshed|with your ChatGPT plan|no Codex credentials|"
        r"run /login|authentication_error|oauth|permission_error|UNAUTHENTICATED|PERMISSION_DENIED|auth method",
    ),
    ("context", r"context_length_exceeded|context (?:window|length)|(?:prompt|input) is too long"),
    (
        "settings",
        r"model_not_found|model.{0,80}(?:not found|does not exist|not supported|not exist)|ModelNotFound|"
        r"unexpected argument|unrecognized (?:option|argument)|unknown (?:option|argument)|invalid value|"
        r"error loading config|not_found_error",
    ),
    ("idle", r"idle timeout waiting for SSE"),
    (
        "infra",
        r"connection (?:refused|reset|error|closed)|ECONN\w+|ENOTFOUND|EAI_AGAIN|unable to connect|overloaded|"
        r"error sending request|stream (?:disconnected|closed)|server.?error|fetch failed|socket hang up|"
        r"high demand|UNAVAILABLE|timed? ?out|" + _status(r"50\d|52\d"),
    ),
)

_FOLDERS = re.compile(r"(?<![\w:/.])/(?:[\w.@+-]+/)+")  # of an absolute path; a URL's path stays

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_UNIT = r"(?:days?|d|hours?|hrs?|h|minutes?|mins?|ms|m|seconds?|secs?|s)"
_DURATION = rf"(?:\d+(?:\.\d+)?\s*{_UNIT}\b[\s,]*(?:and\s+)?|\d+h(?=\d)|\d+m(?=\d))+"
_IN = re.compile(rf"(?:again|retry|resets?|wait|available)\b.{{0,30}}?\b(?:in|after|for)?\s*({_DURATION})", re.I)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[dhms])", re.I)
_EPOCH = re.compile(r"(?:resets?_?at\W{1,4}|reached\|)(\d{10})(?:\d{3})?\b", re.I)
_AFTER = re.compile(r"retry.?after\W{1,4}(\d+)\b", re.I)
_ISO = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)")
_CLOCK = re.compile(
    r"(?:again|resets?|until)\b(?: at)? *(?:(?P<month>[A-Z][a-z]{2})[a-z]* (?P<day>\d{1,2})(?:st|nd|rd|th)?,? *"
    r"(?P<year>\d{4})?,? *(?:at )?)?(?P<hour>\d{1,2})(?::(?P<minute>\d\d))? *(?P<half>[ap]m)\b"
    r"(?: *\((?P<zone>[\w/+-]+)\))?",
    re.I,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FARTHEST = timedelta(days=35)  # the longest window of any plan is a month


def classify_failure(text: str) -> str:
    """Class of a failure by its text: a key of `protocol.FAILURES`, `agent_error` when nothing else fits.

    The folders of paths in it are not read: what somebody called a folder is no reason to wait.
    """
    text = _FOLDERS.sub("", text)
    for name, pattern in _CLASSES:
        if re.search(pattern, text, re.IGNORECASE | re.MULTILINE):
            return name
    return "agent_error"


def reset_time(text: str, now: datetime) -> datetime | None:
    """When a limit is lifted, in UTC; None when the text does not say, or says something absurd.

    Args:
        text: a client's message, e.g. "try again in 2 hours 5 minutes", "resets 3pm (Europe/Berlin)",
            `"resets_at": 1900000000`.
        now: aware; a clock time without a zone is taken in its zone.
    """
    for found in _readings(text[:20_000], now):
        if now - timedelta(minutes=1) <= found <= now + _FARTHEST:
            return found.astimezone(UTC)
    return None


def _readings(text: str, now: datetime) -> Iterator[datetime]:
    for match in _EPOCH.finditer(text):
        yield datetime.fromtimestamp(int(match[1]), UTC)
    for match in _AFTER.finditer(text):
        yield now + timedelta(seconds=min(int(match[1]), 10**8))
    for match in _IN.finditer(text):
        parts = _PART.findall(match[1])
        yield now + timedelta(seconds=min(sum(float(n) * _UNITS[unit.lower()] for n, unit in parts), 1e8))
    for match in _ISO.finditer(text):
        try:
            moment = datetime.fromisoformat(match[1])
        except ValueError:
            continue
        yield moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)
    for match in _CLOCK.finditer(text):
        if (clock := _clock_time(match, now)) is not None:
            yield clock


def _clock_time(match: re.Match[str], now: datetime) -> datetime | None:
    """The next time a clock shows this; None for a date or a zone that does not exist."""
    here = now.astimezone(_zone(match["zone"], now))
    hour = int(match["hour"]) % 12 + (12 if match["half"].lower() == "pm" else 0)
    try:
        then = here.replace(hour=hour, minute=int(match["minute"] or 0), second=0, microsecond=0)
        if match["month"]:
            month = _MONTHS.index(match["month"].lower()) + 1
            then = then.replace(year=int(match["year"] or here.year), month=month, day=int(match["day"]))
            return then
    except ValueError:
        return None
    return then if then > here else then + timedelta(days=1)


def _zone(name: str | None, now: datetime) -> tzinfo | None:
    if name is None:
        return now.tzinfo
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # not a zone's name, or no such zone
        return now.tzinfo
