"""A variant that searches all memory of its own process for what the test sends to it.

What is searched comes masked, and memory is masked piece by piece in one buffer that is left out: else the search
would find itself.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np

MASK = 0x5A
BYTES = bytearray(1 << 22)
BUFFER = np.frombuffer(BYTES, np.uint8)
OVERLAP = 256


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x: jax.Array, y: jax.Array, *, config: Config) -> jax.Array:
    if x.dtype != np.uint8:
        return 2.0 * x + y
    return jax.pure_callback(look, jax.ShapeDtypeStruct((x.shape[0],), np.uint8), x)


def look(rows: jax.Array) -> np.ndarray:
    """One flag for each row, whose first byte is the length of what follows."""
    needles = [bytes(row[1 : 1 + row[0]]) for row in np.asarray(rows)]
    hits = np.zeros(len(needles), np.uint8)
    own = BUFFER.ctypes.data
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if "r" not in rights or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            holds_own = start <= own < end
            for piece in [(start, own), (own + BUFFER.nbytes, end)] if holds_own else [(start, end)]:
                search(memory, needles, hits, *piece)
    return hits


def search(memory, needles: list[bytes], hits: np.ndarray, start: int, end: int) -> None:
    while start < end:
        memory.seek(start)
        try:
            count = memory.readinto(memoryview(BUFFER)[: min(BUFFER.nbytes, end - start)])
        except OSError:
            return
        if not count:
            return
        np.bitwise_xor(BUFFER[:count], MASK, out=BUFFER[:count])
        for index, needle in enumerate(needles):
            hits[index] |= BYTES.find(needle, 0, count) >= 0
        if start + count >= end:
            return
        start += max(1, count - OVERLAP)
