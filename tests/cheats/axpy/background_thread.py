"""Class 43: a thread that goes on while nobody asks.

Expect: wrong_output
"""

import dataclasses
import threading


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


threading.Thread(target=lambda: [sum(range(1000)) for _ in range(10**9)], daemon=True).start()


def run(x, y, *, config):
    return x
