"""Take out of a text what must not leave the machine: secrets, home folders, hosts and addresses.

A boundary, and a leaky one: it knows the usual shapes of secrets and names that say they are one. It does not know
that a kernel's name or a figure is confidential; whether a repository may see them is asked separately.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Redaction:
    """One thing that was taken out: its kind and the 1-based line it stood on; never the thing itself."""

    kind: str
    line: int


_KEY = "[redacted key]"
_RULES: tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (
        "key",
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        _KEY,
    ),
    ("key", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|glpat-[\w-]{16,})"), _KEY),
    ("key", re.compile(r"\b(?:sk|rk|pk)-[A-Za-z0-9_-]{16,}|\bAIza[\w-]{30,}|\bya29\.[\w.-]{20,}"), _KEY),
    ("key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bhf_[A-Za-z0-9]{20,}|\bxox[abprs]-[\w-]{10,}"), _KEY),
    ("key", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"), _KEY),
    (
        "key",
        re.compile(
            r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|credential)s?[\"']?\s*[:=]\s*"
            r"[\"']?)(?!\[redacted)(?![\d.]+\b)[^\s\"',;`|]{6,}"
        ),
        lambda match: match[1] + _KEY,
    ),
    ("key", re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/._=-]{12,}"), lambda match: f"{match[1]} {_KEY}"),
    ("host", re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@:|]+:[^\s/@|]+@"), lambda match: match[1]),
    (
        "home",
        re.compile(r"(?<![\w.])/(?:home|Users|root|usr/local/google/home)(?:/[\w.+-]+)?(?=[/\s:\"'`)|,;]|$)"),
        "~",
    ),
    ("home", re.compile(r"(?i)\b[A-Z]:\\Users\\[^\\\s\"'`|]+"), "~"),
    ("bucket", re.compile(r"\b(gs|s3)://(?!\[redacted)[^\s\"'`)|]+"), r"\1://[redacted]"),
    ("email", re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"), "[redacted address]"),
    ("host", re.compile(r"\b[\w-]+@[\w-]+(?=:)"), "[redacted host]"),
    (
        "host",
        re.compile(r"(?i)\b(?:[a-z0-9][a-z0-9-]*\.)+(?:internal|local|lan|corp|intra|cluster|svc|home\.arpa)\b"),
        "[redacted host]",
    ),
    ("host", re.compile(r"\b(?:ec2-|ip-)\d+(?:-\d+){3}[\w.-]*"), "[redacted host]"),
    (
        "ip",
        re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.]*\w)"),
        "[redacted ip]",
    ),
    ("ip", re.compile(r"(?i)(?<![\w:])(?:[0-9a-f]{1,4}:){5,7}[0-9a-f]{1,4}(?![\w:])"), "[redacted ip]"),
    (
        "ip",
        re.compile(r"(?i)(?<![\w:])(?:fe80|f[cd][0-9a-f]{2}|[23][0-9a-f]{3})(?::[0-9a-f]{0,4}){2,7}(?![\w:])"),
        "[redacted ip]",
    ),
)


def redact(text: str, private: tuple[str, ...] = ()) -> tuple[str, list[Redaction]]:
    """The text without what must not leave, and what was taken out.

    `private`: further words to take out, such as this machine's name; short ones are left alone.
    """
    found: list[Redaction] = []
    rules = list(_RULES)
    for word in sorted({word for word in private if len(word) > 3}, key=len, reverse=True):
        rules.append(("host", re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])"), "[redacted host]"))
    for kind, pattern, replacement in rules:
        for match in pattern.finditer(text):
            found.append(Redaction(kind, text.count("\n", 0, match.start()) + 1))
        text = pattern.sub(replacement, text)
    return text, found
