"""An observer that adds up: cycles of a run by bundle, unit and cause, with filling and draining told apart.

A pipeline waits for its first copies before anything can start, and for its last ones after everything is done.
Both are waits for copies like any other to the simulator; here the waits up to the first arrival from memory are
`fill`, and those for copies to memory after the last one from memory are `drain`.
"""

from collections import Counter
from collections.abc import Sequence

from cairn.lab.observe import DMA

ISSUE, FILL, DRAIN = "issue", "fill", "drain"
CORE = "core"  # the unit of an issued bundle
Place = tuple[int, str, str]  # bundle address, unit, cause


class Attribution:
    """`cycles` by place: the sum is the run's. Finish reading after the run: what drains is known at its end."""

    def __init__(self) -> None:
        self._cycles: Counter[Place] = Counter()
        self._tail: Counter[Place] = Counter()  # waits since the last copy from memory was started
        self._is_filling = True

    @property
    def cycles(self) -> dict[Place, int]:
        drained = {(address, unit, DRAIN): cycles for (address, unit, _), cycles in self._tail.items()}
        return dict(self._cycles + Counter(drained))

    def issued(self, at: int, addresses: Sequence[int], times: int) -> None:
        for address in addresses:
            self._cycles[address, CORE, ISSUE] += times

    def stalled(self, at: int, address: int, unit: str, cause: str, cycles: int, times: int) -> None:
        if cause == DMA and self._is_filling:
            self._cycles[address, unit, FILL] += cycles * times
            self._is_filling = False
        elif cause == DMA:
            self._tail[address, unit, cause] += cycles * times
        else:
            self._cycles[address, unit, cause] += cycles * times

    def copied(self, at: float, until: float, address: int, direction: str, size_bytes: int, times: int) -> None:
        if direction.startswith("hbm"):
            self._cycles += self._tail
            self._tail.clear()
