"""Numbers that other branches and earlier versions of AGENT.md have used: handing one out again would reuse it.

Two sessions that number from the same file give one number to two lessons, which is only seen at the merge.
"""

import re
import shutil
import subprocess
from pathlib import Path

from cairn.errors import TryAgain
from cairn.learnings.identity import EntryId, parse_heading

_TIMEOUT_S = 60.0
_ADDED_HEADING = re.compile(r"\+ {0,3}#{1,6}\s+(.*?)\s*")


def ids_in_history(path: Path) -> tuple[EntryId, ...]:
    """Ids of every version of a file on every branch; empty outside git.

    Raises:
        TryAgain: git gives no answer in time; a number handed out without it could be one that is taken.
    """
    path = path.resolve()
    git = shutil.which("git")
    if git is None or not path.parent.is_dir():
        return ()
    options = ["--no-color", "--no-ext-diff", "--no-textconv", "--format=", "--unified=0", "--patch"]
    try:
        done = subprocess.run(
            [git, "-C", str(path.parent), "log", "--all", *options, "--", f":(literal){path.name}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TryAgain(f"git log of {path.name} took more than {_TIMEOUT_S:.0f} s") from error
    found: dict[tuple[str, int | None, str], EntryId] = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        match = _ADDED_HEADING.fullmatch(line)
        heading = parse_heading(match[1]) if match else None
        for name in heading.ids if heading else ():
            found.setdefault(name.key, name)
    return tuple(found.values())
