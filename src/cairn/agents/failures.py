"""Which class a failure belongs to, and when a limit is lifted, read from what the clients say.

The texts are those of the clients' own errors, seen with Codex 0.169.0, Claude Code 2.1.330, Gemini CLI 0.61.0 and
opencode 1.18.33, or found in their strings. What else stands beside them is somebody's choice and says nothing: the
names of folders, branches, kernels and models, numbers of lines, and what the agent's own programs print. So a word
counts only together with what is said of it ("usage limit reached", not "limit"), and a number only as a status.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo


def _status(codes: str, phrases: str) -> str:
    """Pattern of an HTTP status: named as one, followed by its phrase, or what a message begins with."""
    named = (
        rf"\b(?:status(?: ?code)?|https?(?:/[\d.]+)?|error(?: code)?|code|rejected)\b[\"']?\W{{0,4}}(?:{codes})"
    )
    first = rf"\A\W{{0,3}}(?:{codes})(?=:? (?-i:[A-Z{{])|\W*\Z)"
    return rf"{named}(?![\w/-]|\.\d)|(?<![\w./-])(?:{codes}) (?:{phrases})|{first}"


def _said(of: str, what: str) -> str:
    """Pattern of a noun and what is said of it, in either order, within one line; never as a part of a name."""
    noun, verb = rf"(?<![\w-])(?:{of})(?![\w-])", rf"(?<![\w-])(?:{what})(?![\w-])"
    return rf"{noun}.{{0,60}}?{verb}|{verb}.{{0,40}}?{noun}"


_LIMITS = (
    r"(?:rate|usage|spending|session|weekly|hourly|daily|monthly|opus|request|token|\d-hour|your) limits?|quota"
)
_USED_UP = r"reached|hit|exceed(?:s|ed)?|exhausted|used up|over|resets?|error"
_MEMORY = r"memory|[vs]mem\b|hbm|allocat|scoped|window|bytes"  # what runs out on a chip, in the same words
_LATER = r"(?:retry|try again) (?:in|after|at) (?:\w{3} )?\d|\bresets? (?:at |in |on )?(?:\w{3} )?\d"
_OPTIONS = r"unexpected argument|unknown (?:option|argument|command)|unrecognized arguments?|invalid value"

# the first class whose pattern is found wins. A read-only file system is no full disk: it is how the fence says no
_CLASSES = tuple(
    (name, re.compile(pattern, re.IGNORECASE | re.MULTILINE))
    for name, pattern in (
        ("disk", r"no space left on device|\bENOSPC\b|disk quota exceeded"),
        ("rate_limit", rf"(?:\blimit|\bquota|too many requests|\b429\b)(?s:.{{0,400}}?)(?:{_LATER})"),
        (
            "quota",
            r"insufficient_quota|check your plan and billing|exceeded your current quota|credit balance is too low|"
            r"out of (?:usage )?credits|billing_error|" + _said("spend(?:ing)? limit", _USED_UP),
        ),
        (
            "rate_limit",
            _status("429", "too many")
            + "|"
            + _said(_LIMITS, _USED_UP)
            + r"|too many requests|\brate[ -]limited\b|"
            r"rate_limit_(?:error|exceeded)|usage_limit_reached|\bmodel is at capacity|"
            rf"resource has been exhausted|RESOURCE_EXHAUSTED(?!(?s:.{{0,300}}?)(?:{_MEMORY}))",
        ),
        (
            "auth",
            _status("401|403(?=.forbidden)", "unauthorized|forbidden")
            + r"|(?<![\w-])(?:x-)?api[ -]?keys?(?![\w-])|"
            r"_API_KEY\b|missing environment variable\W{1,4}\w*(?:KEY|TOKEN|SECRET)|"
            r"not logged in|(?:sign|log) ?in again|refresh token|token could not be refreshed|with your ChatGPT plan|"
            r"no Codex credentials|run /login|authentication_error|permission_error|(?-i:UNAUTHENTICATED)|"
            r"(?-i:PERMISSION_DENIED)|\bauth method|"
            + _said(
                "oauth(?: token| authentication)?", "expired|revoked|invalid|fail(?:s|ed)|refused|not|required|no"
            ),
        ),
        ("context", r"context_length_exceeded|context (?:window|length)|(?:prompt|input) is too long"),
        (
            "settings",
            r"model_not_found|ModelNotFound|\bselected model\b.{0,80}not exist|not_found_error|"
            r"\bmodel\b[^.\n]{0,80}?(?:not found|does not exist|not supported)|"
            rf"^(?:[\w./-]+: )?error: (?:{_OPTIONS})|^(?:[\w./-]+: )?(?:unknown|unrecognized|invalid) "
            r"(?:option|argument)s?\b|error loading config",
        ),
        ("idle", r"idle timeout waiting for SSE"),
        (
            "infra",
            r"connection (?:was )?(?:refused|reset|error|closed|failed)|\bECONN\w+|\bENOTFOUND\b|\bEAI_AGAIN\b|"
            r"\bETIMEDOUT\b|unable to connect|could not resolve (?:host|proxy)|\bname resolution\b|"
            r"name or service not known|network is (?:unreachable|down)|no route to host|"
            r"(?<![\w-])overloaded(?:_error)?(?![\w-]| (?:func|meth|oper|memb))|"
            r"error sending request|stream (?:disconnected|closed)|server[ _-]?error|fetch failed|socket hang up|"
            r"\bhigh demand\b|(?-i:UNAVAILABLE)|service (?:is )?(?:temporarily )?unavailable|"
            + _said(
                "request|connection|gateway|network|socket|operation|response|server|service|read",
                "timed out|time-?out",
            )
            + "|"
            + _status(
                r"50\d|52\d", "internal server|bad gateway|service unavail|gateway time|server err|overloaded"
            ),
        ),
    )
)

_NOT_FOUND = re.compile(
    r"^(?:/usr/bin/|/bin/)?env: .*No such file or directory|command not found$|: not found$",
    re.IGNORECASE | re.MULTILINE,
)
_PATHS = re.compile(r"\bhttps?://\S+|(?<![\w:/.@+-])~?/?(?:[\w.@+-]+/)+[\w.@+-]*")
_FRAMES = re.compile(r'^ *File "[^"\n]*", line \d+.*\n(?: {4,}.*\n)*', re.MULTILINE)  # of a Python traceback
# lines of a diff: after the mark code or its indentation; a bullet has one space there, a code of an error digits
_DIFF = re.compile(r"^(?:[+-](?:[^\W\d]|[\t#@\"'(]|  )|@@ |diff --git ).*\n?", re.MULTILINE)
_LAST_LINES = 20

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

    Only its last lines are read, without what is quoted in them: paths, addresses, the lines of a diff, the frames of
    a traceback, and what a program had printed before that.
    """
    own = text[max(0, text.find("Traceback (most recent call last)")) :]
    lines = [line for line in _DIFF.sub("", _FRAMES.sub("", own)).splitlines() if line.strip()]
    said = "\n".join(lines[-_LAST_LINES:])
    if _NOT_FOUND.search(said):  # of a program, which may be a path
        return "not_found"
    said = _PATHS.sub("PATH", said)
    return next((name for name, pattern in _CLASSES if pattern.search(said)), "agent_error")


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
