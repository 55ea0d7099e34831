"""Unified differences that `patch` and `git apply` accept, also for CRLF and for a missing last newline."""

import difflib


def unified(before: str, after: str, name: str, *, exists: bool = True) -> str:
    """The difference between two texts of one file; empty when there is none. `exists`: false for a new file."""
    old = f"a/{name}" if exists else "/dev/null"
    lines = difflib.unified_diff(_lines(before), _lines(after), old, f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    """Lines as git sees them: only a line feed ends one."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
