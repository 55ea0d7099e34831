"""The fence round what an attempt's programs may read and not write: its agent, and the checks of what it wrote."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from cairn.climb.desk import Desk
from cairn.fence import fence_of, own_code
from cairn.lab.cache import default_cache
from cairn.worker.scratch import home


def fence_round(desk: Desk, writable: Sequence[Path]) -> Callable[[Sequence[str]], list[str]]:
    """Fence commands off the user's project, the run, the judge's code and what it remembers, but for `writable`."""
    cache = default_cache()
    remembered = [] if cache is None else [cache.folder]
    records = [desk.git.top, desk.git.git_dir, desk.spec.folder]
    readonly = [*records, *own_code(), *remembered, *_workers_folders(), *desk.spec.trusted]
    return fence_of(readonly, writable)


def _workers_folders() -> list[Path]:
    """Where the judge's processes have their folders, and the compiler puts what is priced."""
    with contextlib.suppress(OSError):  # not ours: then nothing of ours lies in it
        return [home()]
    return []
