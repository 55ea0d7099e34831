"""The fence round what an attempt's programs may read and not write: its agent, and the checks of what it wrote."""

from collections.abc import Callable, Sequence
from pathlib import Path

from cairn.climb.desk import Desk
from cairn.fence import fence_of, own_code
from cairn.lab.cache import default_cache


def fence_round(desk: Desk, writable: Sequence[Path]) -> Callable[[Sequence[str]], list[str]]:
    """Fence commands off the user's project, the run, the judge's code and what it remembers, but for `writable`."""
    cache = default_cache()
    remembered = [] if cache is None else [cache.folder]
    readonly = [desk.git.top, desk.git.git_dir, desk.spec.folder, *own_code(), *remembered, *desk.spec.trusted]
    return fence_of(readonly, writable)
