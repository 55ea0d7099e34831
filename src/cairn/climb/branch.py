"""The champion branch: one commit for each kept attempt, moved only forward and only by the climb."""

from collections.abc import Sequence

from cairn.errors import TryAgain, UsageError
from cairn.git import Git

_TRAILER = "Cairn-Attempt"


class ChampionBranch:
    """A branch of the user's repository that is checked out nowhere."""

    def __init__(self, git: Git, name: str) -> None:
        self._git = git
        self.name = name

    def require_not_checked_out(self) -> None:
        """Refuse to move a branch under somebody's feet.

        Raises:
            UsageError: a working tree has it checked out.
        """
        where = self._git.checked_out_at(self.name)
        if where is not None:
            raise UsageError(
                f"branch {self.name} is checked out in {where}", hint="switch that tree to another branch"
            )

    def tip(self) -> str | None:
        """The branch's commit, or None when there is no such branch."""
        return self._git.commit_of(f"refs/heads/{self.name}")

    def agree_with(self, champion: str, open_attempts: Sequence[str]) -> None:
        """Make the branch what the ledger says; a kill can fall between its move and the ledger's line.

        Raises:
            TryAgain: somebody else moved it.
        """
        tip = self.tip()
        if tip is None:
            self._git.create_branch(self.name, champion)
        elif tip == self._git.commit_of(f"{champion}^1"):
            self._git.advance_branch(self.name, tip, champion)
        elif tip != champion and not any(self._is_commit_of(tip, attempt) for attempt in open_attempts):
            hint = f"git update-ref refs/heads/{self.name} {champion} brings it back"
            raise TryAgain(f"branch {self.name} was moved to {tip}; the climb left it at {champion}", hint=hint)

    def holds(self, attempt: str) -> bool:
        """Whether the tip is the commit of this attempt."""
        tip = self.tip()
        return tip is not None and self._is_commit_of(tip, attempt)

    def put_back(self, champion: str) -> str | None:
        """Move the branch back to where the ledger says; give the commit it was moved to, None when it was right.

        Only while a climb runs: then nobody but its agent can have moved it.
        """
        tip = self.tip()
        if tip == champion:
            return None
        self._git.set_ref(f"refs/heads/{self.name}", champion)
        return tip or "removed"

    def advance(self, attempt: str, parent: str, path: str, blob: str, message: str) -> str:
        """Commit one file on the champion and move the branch there; done once, however often interrupted."""
        tip = self.tip()
        if tip is not None and tip != parent and self._is_commit_of(tip, attempt):
            return tip
        commit = self._git.commit_file(parent, path, blob, f"{message}\n{_TRAILER}: {attempt}")
        self._git.advance_branch(self.name, parent, commit)
        return commit

    def _is_commit_of(self, commit: str, attempt: str) -> bool:
        return f"{_TRAILER}: {attempt}" in self._git.run("log", "-1", "--format=%B", commit).splitlines()
