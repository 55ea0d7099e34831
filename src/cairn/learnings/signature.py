"""What stays the same when one fault is met again: an error message without its numbers, shapes, places and paths.

`f32[8,64]` and `bf16[16,128]`, `%926` and `%12`, line 260 and line 41 differ from run to run; the words around
them do not.
"""

import re

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_DECISIVE = (
    re.compile(r"^.*Check failed:.*$", re.MULTILINE),
    re.compile(r"^.*\bRESOURCE_EXHAUSTED\b.*$", re.MULTILINE),
    re.compile(r"^[\w.]*(?:Error|Exception|Warning|Exit)\b:.*$", re.MULTILINE),
    re.compile(r"^.*\b(?:error|failed|timeout)\b.*$", re.MULTILINE | re.IGNORECASE),
)
_NORMAL = (
    (re.compile(r"(?:https?|gs|s3|file)://[^\s'\"]+"), "URL"),
    (re.compile(r"(?<![\w<])(?:[A-Za-z]:)?(?:~|\.{1,2})?(?:/[\w.@+-]+){2,}/?"), "PATH"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "ADDRESS"),
    (re.compile(r"\b(?:vector|memref|tensor)<[^<>]*>"), "SHAPE"),
    (re.compile(r"\b(?:bf16|f(?:16|32|64)|bfloat16|float\d+|[su]?int\d+|[su]\d+|pred)\[[^\]]*\]"), "SHAPE"),
    (re.compile(r"[(\[]\s*\d+(?:\s*[,x]\s*\d+)+\s*,?[)\]]"), "SHAPE"),
    (re.compile(r"\b\d+(?:x\d+)+(?:x[a-z]+\d+)?\b"), "SHAPE"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "HASH"),
    (re.compile(r"%[\w.]+"), "%"),
    (re.compile(r"\b\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+Z?)?"), "DATE"),
    (re.compile(r"(?<![A-Za-z_])[-+]?\d[\d_,]*(?:\.\d+)?(?:[eE][-+]?\d+)?"), "N"),
)
_MODULE = re.compile(r"^(?:\w+\.)+(?=\w+:)")  # where an exception class lives differs between releases
_LONGEST = 400


def decisive_line(error: str) -> str:
    """The line of a message or traceback that says what went wrong; the last one of its kind."""
    text = _ANSI.sub("", error).strip()
    for pattern in _DECISIVE:
        if found := pattern.findall(text):
            return str(found[-1]).strip()[:_LONGEST]
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:_LONGEST]


def normalise(text: str) -> str:
    """A message with everything replaced that differs from run to run."""
    for pattern, name in _NORMAL:
        text = pattern.sub(name, text)
    return " ".join(text.split())


def signature(error: str) -> str:
    """The normalised decisive line, in lower case: equal for the same fault; empty for an empty message."""
    return normalise(_MODULE.sub("", decisive_line(error))).casefold()
