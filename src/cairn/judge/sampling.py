"""How much of a large shape to look at before a variant is kept there: enough to find out where its gain comes from.

A variant that is right on every small shape may leave work out at the shape that is priced. Whoever gains a share g
of the cost by leaving blocks out has to leave out about that share of them, so n blocks drawn at random miss it with
probability (1 - g)^n: three blocks see a gain of two thirds, 29 a gain of a tenth, with 95 % confidence. The last
block is always among them, because that is where a limit that no small shape reaches is felt first.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cairn.judge.executors import Executor
from cairn.judge.protocol import Specs
from cairn.judge.replay import Sample
from cairn.judge.verdict import Ruling

_CONFIDENCE = 0.95
_FIRST = 2
_LEAST_GAIN = 0.05  # a smaller one is the margin's business
_BUDGET_S = 30.0


@dataclass(frozen=True)
class Look:
    """What was computed, in how many blocks, and how likely these show that blocks worth the gain were left out."""

    sample: Sample | Ruling
    blocks: int
    chance: float


def blocks_for(gain: float) -> int:
    """How many random blocks show, with 95 % confidence, that a share `gain` of all blocks is wrong."""
    share = min(max(gain, _LEAST_GAIN), 0.99)
    return math.ceil(math.log(1 - _CONFIDENCE) / math.log(1 - share))


def look(executor: Executor, program: bytes, specs: Specs, blobs: Sequence[bytes], gain: float) -> Look:
    """Two blocks first, which tells how long one takes; then as many as the gain asks for and the time allows."""
    started = time.monotonic()
    sample = executor.sample(program, specs, blobs, _FIRST)
    if isinstance(sample, Ruling) or all(bool(mask.all()) for mask in sample.covered):
        return Look(sample, 0, 1.0)
    affordable = int(_BUDGET_S * _FIRST / max(time.monotonic() - started, 1e-9))
    blocks = max(_FIRST, min(blocks_for(gain), affordable))
    if blocks > _FIRST:
        sample = executor.sample(program, specs, blobs, blocks)
    return Look(sample, blocks, 1 - (1 - min(max(gain, _LEAST_GAIN), 0.99)) ** blocks)
