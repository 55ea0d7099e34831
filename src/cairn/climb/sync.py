"""Bring the champion up to date with a main branch: a merge commit of its own, and prices taken anew.

The merge is made in git's object store, so no tree of anybody is touched. Afterwards the problem is read from the
merged commit and every anchor is measured again, because a change of the surroundings is not progress.
"""

from cairn.climb.desk import Desk
from cairn.climb.spec import FAIL
from cairn.errors import Missing, TryAgain

_FETCH_S = 300.0


def sync(desk: Desk) -> str | None:
    """Fetch and merge; the reason to end the climb when the policy says so, else None."""
    wish, state = desk.spec.sync, desk.state
    assert state.champion is not None
    ref = f"refs/cairn/{desk.spec.name}/upstream"
    where = {"remote": wish.remote, "branch": wish.branch}
    try:
        desk.git.run(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", wish.remote,
            f"+refs/heads/{wish.branch}:{ref}", timeout_s=_FETCH_S,
        )  # fmt: skip
    except (Missing, TryAgain) as error:
        desk.write("climb.synced", **where, commit=None, upstream=None, problem=f"not fetched: {error}")
        return "sync_conflict" if wish.on_conflict == FAIL else None
    upstream = desk.git.commit_of(ref)
    assert upstream is not None
    if state.synced and state.synced.get("upstream") == upstream:
        return None
    if _is_ancestor(desk, upstream, state.champion):
        desk.write("climb.synced", **where, commit=None, upstream=upstream, problem="")
        return None
    tree = _merged_tree(desk, state.champion, upstream)
    if tree is None:
        desk.write("climb.synced", **where, commit=None, upstream=upstream, problem="does not merge")
        return "sync_conflict" if wish.on_conflict == FAIL else None
    message = f"Merge {wish.remote}/{wish.branch} into the climb {desk.spec.name}"
    champion, commit = state.champion, desk.git.commit_tree(tree, [state.champion, upstream], message)
    desk.write("climb.synced", **where, commit=commit, upstream=upstream, problem="")
    desk.git.advance_branch(desk.branch.name, champion, commit)  # after a kill before it, the next launch does it
    return None


def _is_ancestor(desk: Desk, older: str, newer: str) -> bool:
    try:
        desk.git.run("merge-base", "--is-ancestor", older, newer)
    except Missing:
        return False
    return True


def _merged_tree(desk: Desk, ours: str, theirs: str) -> str | None:
    """The tree of a merge without conflicts (git 2.38 or newer), or None."""
    try:
        return desk.git.run("merge-tree", "--write-tree", "--no-messages", ours, theirs).split()[0]
    except Missing:
        return None
