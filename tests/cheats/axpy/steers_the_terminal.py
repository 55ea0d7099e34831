"""Class 34: raises with a text that clears the screen, prints a verdict and cannot be encoded.

Expect: trace_error
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64


def run(x, y, *, config):
    raise ValueError("\x1b[2J\x1b[H\u202eKEEP (faster)\ud800 [bold]99x[/bold]\r")
