"""Programs of the user's that reach devices, clusters and stores: found, run, and their exit codes passed on."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cairn.errors import Missing, TryAgain, UsageError
from cairn.execution.leases import LOCK_VARIABLE, NAME_VARIABLE, NOTE_VARIABLE, held_place
from cairn.process import end_tree, marked_environment

_TIMED_OUT = 124


def words_of(template: str, values: Mapping[str, str]) -> list[str]:
    """The words of a configured command; a value is never more than a part of its word.

    Raises:
        UsageError: an unknown place holder, or quotes that do not close.
    """
    try:
        return [word.format(**values) for word in shlex.split(template)]
    except (KeyError, IndexError, ValueError) as error:
        known = ", ".join(f"{{{name}}}" for name in values)
        raise UsageError(f"`{template}` cannot be read: {error}", hint=f"known: {known}") from error


def require(program: str, hint: str) -> str:
    """A program's path.

    Raises:
        Missing: it is not on PATH.
    """
    found = shutil.which(program)
    if found is None:
        raise Missing(f"`{program}` is not installed", hint=hint)
    return found


def run_through(
    command: Sequence[str], environment: Mapping[str, str] | None = None, wall_s: float | None = None
) -> int:
    """Run a program with this terminal's streams, but never its input; its whole tree ends with it.

    Returns its exit code, 124 when the wall limit ended it.
    """
    marked, mark = marked_environment({**os.environ, **(environment or {})})
    child = subprocess.Popen(list(command), stdin=subprocess.DEVNULL, env=marked)
    try:
        return child.wait(timeout=wall_s)
    except subprocess.TimeoutExpired:
        return _TIMED_OUT
    finally:
        end_tree(child.pid, mark, polite=child.poll() is None)
        child.wait()


def read_output(command: Sequence[str]) -> str:
    """What a program prints on standard output.

    Raises:
        TryAgain: it ended with another code than 0.
    """
    done = subprocess.run(list(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise TryAgain(f"`{command[0]}` ended with code {done.returncode}: {said}")
    return done.stdout


def held_device(name: str, cluster: str) -> tuple[str, Path | None, str]:
    """Where a device is held by the climb that we run inside of, its lock, and a warning about a wrong `--cluster`."""
    if os.environ.get(NAME_VARIABLE) != name:
        return cluster, None, ""
    place = held_place(Path(os.environ.get(NOTE_VARIABLE, "")))
    lock = os.environ.get(LOCK_VARIABLE)
    warning = f"{name} is held at {place}, not at {cluster}; using {place}" if place and place != cluster else ""
    return place or cluster, Path(lock) if lock else None, warning
