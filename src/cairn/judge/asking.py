"""Asking a process once more, where it was not the program that failed.

XLA's library for processors now and then refuses on a busy machine what it did before and does again a moment later
(`INTERNAL: YNNPACK operation failed: unsupported parameter`, on plain sums). Nobody is to be blamed for that.
"""

from collections.abc import Callable
from typing import TypeVar

from cairn.worker_process import WorkerFailure

T = TypeVar("T")


def asked_again(ask: Callable[[], T], renew: Callable[[], None]) -> T:
    """What `ask` gives; once more, after `renew` has ended the old process, where XLA says that it failed itself.

    Raises:
        WorkerFailure: it failed otherwise, or again.
    """
    try:
        return ask()
    except WorkerFailure as failure:
        if failure.reason != "raised" or not failure.error.get("message", "").startswith("INTERNAL: "):
            raise
    renew()
    return ask()
