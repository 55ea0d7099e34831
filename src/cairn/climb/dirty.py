"""What becomes of the user's uncommitted changes while a climb runs, as the policy says.

worktree   they stay where they are; attempts begin at the commit and never see them (the default)
stash      they are put away and brought back at the end, by object id, never by position
fail       the climb does not begin
allow      as worktree, without a word
"""

import time
from collections.abc import Callable

from cairn.climb.desk import Desk
from cairn.errors import Missing, TryAgain, UsageError

_SHOWN = 5


def put_away(desk: Desk, say: Callable[[str], None]) -> None:
    """Apply the policy before the first attempt.

    Raises:
        UsageError: the policy is `fail`, and there are changes.
    """
    policy = desk.spec.dirty
    if policy == "stash":
        if desk.state.stash is None:
            _stash(desk, say)
    elif policy != "allow":
        _tell(desk, say)


def _tell(desk: Desk, say: Callable[[str], None]) -> None:
    fails = desk.spec.dirty == "fail"
    changed = desk.git.dirty() if fails else desk.git.dirty([f"{desk.problem_path}/"])
    if not changed:
        return
    names = ", ".join(changed[:_SHOWN]) + (f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else "")
    if fails:
        raise UsageError(f"there are uncommitted changes: {names}", hint="commit them, or --dirty-policy worktree")
    say(f"note: uncommitted changes are not part of the climb: {names}")


def _stash(desk: Desk, say: Callable[[str], None]) -> None:
    before = desk.git.commit_of("refs/stash")
    message = f"{_title(desk)}{time.time_ns()}"
    desk.git.run_in_tree("stash", "push", "--quiet", "--include-untracked", "-m", message, "--", ":/", *_own(desk))
    stash = desk.git.commit_of("refs/stash")
    if stash is not None and stash != before:
        _announce(desk, stash, say)
    else:
        _adopt(desk, say)


def _adopt(desk: Desk, say: Callable[[str], None]) -> None:
    """Take on an entry of this climb that no line of the ledger names: a kill came right after it was made."""
    for line in desk.git.run_in_tree("stash", "list", "--format=%H %gs").splitlines():
        stash, _, subject = line.partition(" ")
        if _title(desk) in subject:
            _announce(desk, stash, say)
            return


def _title(desk: Desk) -> str:
    return f"cairn climb {desk.spec.name} "


def _announce(desk: Desk, stash: str, say: Callable[[str], None]) -> None:
    desk.git.set_ref(f"refs/cairn/{desk.spec.name}/stash", stash)  # kept whatever happens to the list
    desk.write("climb.stashed", stash=stash, restored=False)
    say(f"your changes are put away as {stash[:12]}; they come back when the climb ends")


def _own(desk: Desk) -> list[str]:
    """A pathspec that leaves the run's own folder where it is; git refuses to exclude what it ignores anyway."""
    if not desk.spec.folder.resolve().is_relative_to(desk.git.top.resolve()):
        return []
    folder = desk.git.relative(desk.spec.folder)
    try:
        desk.git.run_in_tree("check-ignore", "--quiet", f"{folder}/ledger.jsonl")
    except Missing:
        return [f":(exclude,top){folder}"]
    return []


def bring_back(desk: Desk, say: Callable[[str], None]) -> None:
    """Restore what was put away, if the tree can take it; otherwise it stays where it is, and is named."""
    stash = desk.state.stash
    if stash is None:
        return
    try:
        if desk.git.run("rev-parse", f"{stash}^1").strip() != desk.git.head() or _tracked_changes(desk):
            raise TryAgain("the tree has changed since")
        desk.git.run_in_tree("stash", "apply", "--quiet", "--index", stash)
    except (Missing, TryAgain) as error:
        say(f"your changes are still put away ({error}): git stash apply --index {stash}")
        return
    desk.write("climb.stashed", stash=stash, restored=True)
    desk.git.delete_ref(f"refs/cairn/{desk.spec.name}/stash")
    _drop(desk, stash)


def _tracked_changes(desk: Desk) -> bool:
    return bool(desk.git.run_in_tree("status", "--porcelain", "--untracked-files=no").strip())


def _drop(desk: Desk, stash: str) -> None:
    """Take the entry off the list: the one with this object id, wherever it stands by now."""
    try:
        listed = desk.git.run_in_tree("stash", "list", "--format=%H").split()
        if stash in listed:
            desk.git.run_in_tree("stash", "drop", "--quiet", f"stash@{{{listed.index(stash)}}}")
    except (Missing, TryAgain):
        return
