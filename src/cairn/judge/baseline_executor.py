"""Replays the baseline's programs; what XLA for the CPU makes of them is kept on disk.

The baseline is a frozen file of the problem, asked by every judgement at the same shapes, and compiling one of its
programs takes a second or more. An executable holds no seed, input or answer. It is machine code, so its key names
the processor beside the versions, and only the baseline's own process, which no variant's program reaches, loads it.
"""

import hashlib
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cairn.judge.correctness import Wire
from cairn.judge.executors import ReplayExecutor
from cairn.judge.lowered import digest_of
from cairn.judge.protocol import JudgeLimits, Specs
from cairn.judge.verdict import Ruling
from cairn.lab.cache import Cache
from cairn.lab.installed import versions_of
from cairn.worker_process import WORKER_FOLDER

# what decides how a program without kernels is compiled
_CODE = ("stablehlo_program.py", "stablehlo_composites.py")
_CPU_FACTS = ("model name", "flags", "Features", "CPU implementer", "CPU part")


class BaselineExecutor(ReplayExecutor):
    """A replay whose programs without kernels are compiled once for all processes of this machine."""

    def __init__(self, python: Path, limits: JudgeLimits, kept: Cache | None) -> None:
        super().__init__(python, limits)
        self._kept = kept
        self._ground = ["executable", *_processor(), *(f"{k} {v}" for k, v in sorted(versions_of(python).items()))]
        self._ground += [hashlib.sha256((WORKER_FOLDER / name).read_bytes()).hexdigest() for name in _CODE]
        self._ready: set[tuple[int, str]] = set()

    def run(self, program: bytes, inputs: Specs, blobs: Sequence[bytes]) -> list[Wire] | Ruling:
        self.prepare(program)
        return super().run(program, inputs, blobs)

    def prepare(self, program: bytes) -> None:
        digest = hashlib.sha256(program).hexdigest()
        if (self.replayer.starts, digest) in self._ready:
            return
        key = digest_of([*self._ground, digest])
        kept = b"" if self._kept is None else self._kept.get(key) or b""
        made = self._judged(lambda: self.replayer.load(program, kept))
        if isinstance(made, bytes):
            self._ready.add((self.replayer.starts, digest))
            if made and self._kept is not None:
                self._kept.put(key, made)


@cache
def _processor() -> list[str]:
    """What machine code is made for: the processor's name and abilities, as far as the kernel tells them."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    told = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    return [platform.machine(), *(told.get(name, "") for name in _CPU_FACTS)]
