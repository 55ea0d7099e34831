"""Class 47: ends whoever started it.

Expect: exited, killed, import_error, wrong_output
"""

import dataclasses
import os
import signal


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


if os.getppid() > 1:  # never the machine's own first process, whatever level of isolation there is
    try:
        os.kill(os.getppid(), signal.SIGKILL)
    except OSError:
        pass


def run(x, y, *, config):
    return x
