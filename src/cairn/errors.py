"""What can go wrong, as one tree: each class knows its exit code and how a user mends it.

    CairnError                 1   (never raised itself)
    ├── UsageError             2   the command line is wrong
    ├── BadInput              65   a file is malformed; names file, line, key
    ├── Missing               69   something is not installed or not there; `hint` is the fix
    └── TryAgain              75   a lock is held, a resource is busy; nothing was changed
        ├── Unreachable       75   a service gave no answer; what was to be sent is kept
        └── DiskFull          75   there is no room to write; what was announced is still there

A bad kernel is not in this tree: it is a result (a verdict in a receipt), not an exception.
Errors become exit codes in `cairn.cli` and nowhere else.
"""

from pathlib import Path


class CairnError(Exception):
    """Base of every error cairn raises on purpose.

    Args:
        message: one line that says what is wrong.
        hint: one line that says how to mend it, or None when the message already does.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(CairnError):
    """The command was called with arguments that do not make sense."""

    exit_code = 2


class BadInput(CairnError):
    """A file the user gave is malformed.

    Args:
        message: what is wrong with the value.
        path: the file.
        line: 1-based line, if known.
        key: dotted key inside the file, if known.
        hint: how to mend it.
    """

    exit_code = 65

    def __init__(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        where = "" if path is None else f"{path}:{line}: " if line is not None else f"{path}: "
        what = f"{key}: {message}" if key else message
        super().__init__(f"{where}{what}", hint=hint)
        self.path = path
        self.line = line
        self.key = key


class Missing(CairnError):
    """A program, package, device or file that the command needs is not there."""

    exit_code = 69


class TryAgain(CairnError):
    """Nothing is wrong, but not now: a lock is held or a resource is busy."""

    exit_code = 75


class Unreachable(TryAgain):
    """A service gave no answer, or a limit that lasts longer than we wait; what was to be sent is kept."""


class DiskFull(TryAgain):
    """There is no room to write, or the file system went read-only; nothing that was written is lost."""

    def __init__(self, message: str, *, hint: str | None = "make room, then give the same command again") -> None:
        super().__init__(message, hint=hint)
