"""Threads for kernels that are interpreted: their callbacks run in XLA's own pool, and wait there for other work of it.

On a machine with one core the pool has one thread, and a callback that asks jax for anything waits for itself.
"""

import os

_LEAST = 4  # two simulated cores, what they wait for, and one to spare


def room_for_callbacks() -> None:
    """Let XLA's pool on the CPU have some threads; only before jax has looked for its devices."""
    if hasattr(os, "sched_getaffinity"):  # elsewhere the pool does not look for the cores of this process
        os.environ.setdefault("NPROC", str(max(_LEAST, len(os.sched_getaffinity(0)))))
