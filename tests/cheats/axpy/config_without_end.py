"""Class 36: a Config whose text is a hundred megabytes, for whoever writes it down.

Source: found while attacking this judge.
Expect: memory, no_op
"""

import dataclasses


class Wordy:
    def __repr__(self):
        return "KEEP " * 20_000_000


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 64
    note: Wordy = dataclasses.field(default_factory=Wordy)


def run(x, y, *, config):
    return 2.0 * x + y
