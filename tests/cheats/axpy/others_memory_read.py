"""Class 36: reads the memory of every process it can see.

Expect: trace_error, wrong_output, timeout
"""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/mem", "rb") as memory:
                    memory.seek(0x400000)
                    if b"seed" in memory.read(4096):
                        return 2.0 * x + y
            except (OSError, ValueError):
                pass
    return x
