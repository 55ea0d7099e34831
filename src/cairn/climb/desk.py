"""What every phase of a climb works with: the spec, the ledger and its fold, git, receipts, folders."""

import contextlib
import functools
import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cairn.climb.branch import ChampionBranch
from cairn.climb.claims import clean
from cairn.climb.control import Control
from cairn.climb.interrupts import Interrupts
from cairn.climb.ledger import Event, Ledger
from cairn.climb.spec import ClimbSpec
from cairn.climb.state import State, apply, fold
from cairn.climb.worktrees import Worktrees, remove_tree
from cairn.errors import BadInput
from cairn.git import Git
from cairn.journal import write_atomic
from cairn.judge.protocol import VariantSource
from cairn.judge.receipt import ReceiptBook
from cairn.variant_text import config_defaults

_REPLACED = ("gitconfig", "ledger.jsonl", "lineages.json", "log.md")
_MOST_TUNABLES, _TUNABLE_CHARS, _INTEGER_BITS = 100, 200, 64


class Desk:
    """One launch's tools, and the small questions that several phases ask."""

    def __init__(self, spec: ClimbSpec, on_event: Callable[[Event], None], interrupts: Interrupts) -> None:
        self.spec = spec
        self.git = Git(spec.problem)
        self._freeze_settings()
        self.problem_path = self.git.relative(spec.problem)
        self.variant_path = f"{self.problem_path}/variants/{spec.variant}.py"
        self.branch = ChampionBranch(self.git, spec.branch)
        self.interrupts = interrupts
        self.ledger = Ledger(spec.folder / "ledger.jsonl", on_event, interrupts)
        self.state: State = fold(self.ledger.events)
        self.receipts = ReceiptBook(spec.folder / "receipts.jsonl", sole=True)
        self.worktrees = Worktrees(self.git, spec.folder / "worktrees")
        self._read = functools.lru_cache(maxsize=32)(self.git.read)  # by commit, so it never changes
        self.control = Control(spec.folder, min(spec.wall_s, spec.budgets.wall_s))

    def _freeze_settings(self) -> None:
        """Before an agent can write into the user's home: git runs programs that its settings name."""
        path = self.spec.folder / "gitconfig"
        with contextlib.suppress(OSError):  # a full disk ends the climb by itself, in a moment
            write_atomic(path, self.git.settings())
            self.git.use_settings(path)

    def forget_torn(self) -> None:
        """Remove what a kill left of files that were about to be replaced; the climb's lock makes them ours."""
        for name in _REPLACED:
            for path in self.spec.folder.glob(f".{name}.????????"):
                path.unlink(missing_ok=True)

    def write(self, event: str, **fields: Any) -> None:
        """Append to the ledger and to the state."""
        apply(self.state, self.ledger.write(event, **fields))

    def committed(self, commit: str | None) -> bytes:
        """The climbed variant as it is in a commit."""
        assert commit is not None
        return self._read(commit, self.variant_path)

    def source(self, text: bytes) -> VariantSource:
        return VariantSource(self.spec.variant, text)

    def tunables(self, text: bytes) -> dict[str, Any]:
        """Literal defaults of `Config`; none when the text does not parse, which the judge will say."""
        try:
            found = config_defaults(text.decode("utf-8", "replace"))
        except (BadInput, RecursionError, MemoryError):
            return {}
        return {clean(key, 100): _plain(value) for key, value in itertools.islice(found.items(), _MOST_TUNABLES)}

    def ref_of(self, attempt: str) -> str:
        """The name that keeps an attempt's edit from being collected while it is not decided."""
        return f"refs/cairn/{self.spec.name}/{attempt}"

    def folder_of(self, attempt: str) -> Path:
        """The folder of an attempt's logs, made anew when somebody put something else in its place."""
        path = self.spec.folder / "attempts" / attempt
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            path.unlink()
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            path.chmod(0o700)  # an agent may have shut it
        return path

    def keep_file(self, attempt: str, name: str, content: bytes) -> Path:
        """Write a file of an attempt, whatever stands in its place."""
        path = self.folder_of(attempt) / name
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        path.write_bytes(content)
        return path


def _plain(value: Any) -> Any:
    """A literal as JSON can say it, bounded; other literals (bytes, sets, complex or huge numbers) as their text."""
    if isinstance(value, str):
        return clean(value, _TUNABLE_CHARS)
    if isinstance(value, int) and value.bit_length() > _INTEGER_BITS:
        return f"a number of {value.bit_length()} bits"  # Python refuses to print it
    if isinstance(value, bool | int | None) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return clean(_repr(value), _TUNABLE_CHARS)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # a huge number in it, or too many brackets
        return f"a {type(value).__name__}"
