"""Asynchronous copies: one memory channel in order of issue, a latency on top, and the flags that count arrivals.

A copy may land on both cores of a device; then its flag word names the other core's flag in its upper half, and
the arrival is handed over (`sent`). Bank conflicts, strides and refresh are not modelled; the bandwidth is an
effective one. Concurrent copies are served one after the other also where the hardware shares the channel: the
last one ends at the same time.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from cairn.lab.chip import Chip
from cairn.lab.observe import Observer
from cairn.lab.scalar import signed

_HBM_DIRECTIONS = {
    "hbm_to_vmem",
    "hbm_to_smem",
    "hbm_to_cmem",
    "hbm_to_hbm",
    "vmem_to_hbm",
    "smem_to_hbm",
    "cmem_to_hbm",
}
_LOCAL_DIRECTIONS = {
    *("vmem_to_vmem", "vmem_to_smem", "smem_to_vmem", "cmem_to_vmem", "vmem_to_cmem"),
    *("cmem_to_smem", "smem_to_cmem"),  # TPU v4 keeps small operands in CMEM
}
DIRECTIONS = _HBM_DIRECTIONS | _LOCAL_DIRECTIONS
FLAG_WORD_BITS = 16
A_CORES_FLAG = 0x1FFF  # the bits above it say which core
Arrival = tuple[int, float, int]  # flag, time in cycles, granules
_LOCAL_LATENCY_SHARE = 0.5  # an on-chip copy does not travel to HBM; no published measurement, rarely decisive


def own_flag(word: int) -> int:
    """The flag on this core in a copy's flag word."""
    return word & ((1 << FLAG_WORD_BITS) - 1) if word >> FLAG_WORD_BITS else word


class LostWait(Exception):
    """The program waits for an arrival that no copy announces: the model has misread it."""


@dataclass
class _Flag:
    level: int = 0
    arrivals: list[tuple[float, int]] = field(default_factory=list)


class DmaEngine:
    """Copies in flight. Times are in cycles since the kernel's start."""

    def __init__(self, chip: Chip, *, shared: bool, observer: Observer | None = None) -> None:
        self._observer = observer
        self._bytes_per_cycle = chip.bytes_per_cycle(shared=shared)
        self._granule_bytes = chip.dma_granule_bytes
        self._in_latency = chip.cycles_of_ns(chip.dma_in_latency_ns)
        self._out_latency = chip.cycles_of_ns(chip.dma_out_latency_ns)
        self._channel_free = 0.0
        self._local_free = 0.0
        self._flags: dict[int, _Flag] = {}
        self.hbm_bytes = 0
        self.copies = 0
        self.sent: list[Arrival] = []

    def receive(self, arrivals: Iterable[Arrival]) -> None:
        """Take over what the other core's copies will bring."""
        for flag, arrived, granules in arrivals:
            heapq.heappush(self._flags.setdefault(flag, _Flag()).arrivals, (arrived, granules))

    def start(self, now: float, granules: int, direction: str, flag: int, address: int = 0) -> None:
        """Begin a copy; `flag` counts its granules when it has arrived. `address`: of the bundle that asks."""
        self.copies += 1
        size_bytes = granules * self._granule_bytes
        latency = self._in_latency if direction.startswith("hbm") else self._out_latency
        if direction in _LOCAL_DIRECTIONS:
            self._local_free = end = max(now, self._local_free) + size_bytes / self._bytes_per_cycle
            latency *= _LOCAL_LATENCY_SHARE
        else:
            moved_bytes = size_bytes * (2 if direction == "hbm_to_hbm" else 1)  # read and written
            self.hbm_bytes += moved_bytes
            self._channel_free = end = max(now, self._channel_free) + moved_bytes / self._bytes_per_cycle
        if self._observer is not None:
            self._observer.copied(now, end + latency, address, direction, size_bytes, 1)
        if flag >> FLAG_WORD_BITS:
            self.sent.append((flag >> FLAG_WORD_BITS & A_CORES_FLAG, end + latency, granules))
            flag = own_flag(flag)
        heapq.heappush(self._flags.setdefault(flag, _Flag()).arrivals, (end + latency, granules))

    def wait(self, now: float, granules: int, flag: int) -> float:
        """Time at which the flag has counted that many granules.

        Raises:
            LostWait: it never will.
        """
        state = self._flags.setdefault(flag, _Flag())
        while state.level < granules:
            if not state.arrivals:
                raise LostWait(f"waits for {granules} granules, {state.level} announced")
            arrived, count = heapq.heappop(state.arrivals)
            state.level += count
            now = max(now, arrived)
        return now

    def add(self, flag: int, delta: int) -> None:
        """The program changes a flag itself: a 32-bit pattern, mostly negative, which takes what it waited for."""
        self._flags.setdefault(flag, _Flag()).level += signed(delta)

    def reset(self, flag: int, value: int) -> None:
        """Set a flag; what is still on its way stays on its way."""
        self._flags.setdefault(flag, _Flag()).level = value

    def under_way(self, flag: int) -> bool:
        """Whether the flag counts a copy that nobody has waited for yet."""
        return bool(self._flags[flag].arrivals) if flag in self._flags else False

    @property
    def unawaited(self) -> int:
        """Copies that nobody has waited for: a program ends with none."""
        return sum(len(state.arrivals) for state in self._flags.values())
