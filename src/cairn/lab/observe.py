"""What a simulation tells to whoever wants to know where the cycles went. Nothing is paid when nobody listens.

`times` says how often the same thing happened, one after the other: a steady loop is simulated once and counted.
The issued and stalled cycles of a run, each times `times`, add up to its `cycles`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

# Why a unit let the core wait. `result`: the latency of a result; `busy`: the unit had other work; `dma`: a copy;
# `semaphore`: a flag that no copy of this core raises.
RESULT, BUSY, DMA, SEMAPHORE = "result", "busy", "dma", "semaphore"


class Observer(Protocol):
    """Times are core cycles since the kernel's start; addresses are those of the bundle text."""

    def issued(self, at: int, addresses: Sequence[int], times: int) -> None:
        """Bundles were issued in this order from `at` on, one cycle each; stalls in between are told apart."""

    def stalled(self, at: int, address: int, unit: str, cause: str, cycles: int, times: int) -> None:
        """The bundle at `address` waited `cycles` for `unit`."""

    def copied(self, at: float, until: float, address: int, direction: str, size_bytes: int, times: int) -> None:
        """A copy was started by the bundle at `address`; its data has arrived at `until`."""


Observe = Callable[[str], Observer | None]  # the observer for the program of an instruction, None for none
