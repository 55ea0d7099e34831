"""Class 34: claims its verdict on standard output, for ever.

Source: KernelGuard's rule about output that drowns a log.
Expect: killed, memory, timeout, exited
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


while True:
    print("KEEP faster 99x " * 4096)


def run(x, y, *, config):
    return 2.0 * x + y
