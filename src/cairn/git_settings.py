"""The user's git settings as they are at one moment, in a file that git reads in place of the real ones.

Git runs programs that a configuration names: a filter at every checkout, a merge driver, a transport. Whoever may write
the user's home could have such a program run by the next `git checkout` of somebody who trusts it. So a climb looks at
the settings once, before its first agent, and its git never looks again.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_GIT = shutil.which("git") or "git"
_LEVELS = ("--system", "--global")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\b": "\\b"}


def settings_text(environment: Mapping[str, str]) -> str:
    """What the system and the user have set, as one configuration file."""
    return render([entry for level in _LEVELS for entry in _entries(level, environment)])


def reading(path: Path) -> dict[str, str]:
    """The variables that make git read a file in place of the system's and the user's."""
    return {"GIT_CONFIG_GLOBAL": str(path.resolve()), "GIT_CONFIG_NOSYSTEM": "1"}


def _entries(level: str, environment: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """Keys and values of one level, included files in their places; none when it has no file."""
    done = subprocess.run(
        [_GIT, "config", level, "--includes", "--list", "-z"],
        cwd=os.sep,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return []
    found: list[tuple[str, str | None]] = []
    for entry in done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        key, separator, value = entry.partition("\n")
        if not key.startswith(("include.", "includeif.")):  # what they name is in the list already
            found.append((key, value if separator else None))
    return found


def render(entries: Sequence[tuple[str, str | None]]) -> str:
    """Entries as a configuration file; a value of None is a key without `=`, which git takes for true."""
    lines = []
    for key, value in entries:
        section, _, rest = key.partition(".")
        middle, _, name = rest.rpartition(".")
        lines.append(f'[{section} "{_escaped(middle, newlines=False)}"]' if middle else f"[{section}]")
        lines.append(f"\t{name}" if value is None else f'\t{name} = "{_escaped(value)}"')
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _escaped(text: str, *, newlines: bool = True) -> str:
    """A value, or the middle of a key, in which only the backslash and the quote are escaped."""
    return "".join(_ESCAPES.get(c, c) if newlines or c in '\\"' else c for c in text)
