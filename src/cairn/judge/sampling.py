"""How much of a large shape to look at before a variant is kept there: enough to find out where its gain comes from.

A variant that is right on every small shape may leave work out at the shape that is priced. Whoever gains a share g
of the cost by leaving blocks out has to leave out about that share of them, so n blocks drawn at random miss it with
probability (1 - g)^n: three blocks see a gain of two thirds, 29 a gain of a tenth, with 95 % confidence. The last
block is always among them, because that is where a limit that no small shape reaches is felt first.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cairn.judge.correctness import Wire
from cairn.judge.draws import BenchInputs
from cairn.judge.slices import Part
from cairn.judge.verdict import Ruling

_CONFIDENCE = 0.95
FIRST = 2
_AT_ONCE = 4  # so few that finding out how long one takes would cost as much
_LEAST_GAIN = 0.05  # a smaller one is the margin's business
_BUDGET_S = 30.0


@dataclass(frozen=True)
class Blocks:
    """Some blocks of a variant's outputs: the inputs, and the part of the outputs that the blocks lie in.

    `seed` chose them. `covered` says which elements of that part count; `share`, how much of all outputs that is.
    """

    seed: int
    inputs: BenchInputs
    part: Part
    outputs: Sequence[Wire]
    covered: Sequence[NDArray[np.bool_]]
    share: float


@dataclass(frozen=True)
class Look:
    """What was computed, in how many blocks, and how likely these show that blocks worth the gain were left out."""

    seen: Blocks | Ruling
    blocks: int
    chance: float


def blocks_for(gain: float) -> int:
    """How many random blocks show, with 95 % confidence, that a share `gain` of all blocks is wrong."""
    share = min(max(gain, _LEAST_GAIN), 0.99)
    return math.ceil(math.log(1 - _CONFIDENCE) / math.log(1 - share))


def first_blocks(gain: float) -> int:
    """How many blocks are looked at first: all, if a few are enough; else two, which tell how long one takes."""
    wanted = max(FIRST, blocks_for(gain))
    return wanted if wanted <= _AT_ONCE else FIRST


def look(sample: Callable[[int], Blocks | Ruling], gain: float) -> Look:
    """The first blocks; then as many as the gain asks for and the time allows."""
    started, first = time.monotonic(), first_blocks(gain)
    seen = sample(first)
    if isinstance(seen, Ruling) or seen.share == 1:
        return Look(seen, 0, 1.0)
    affordable = int(_BUDGET_S * first / max(time.monotonic() - started, 1e-9))
    blocks = max(first, min(blocks_for(gain), affordable))
    if blocks > first:
        seen = sample(blocks)
    return Look(seen, blocks, 1 - (1 - min(max(gain, _LEAST_GAIN), 0.99)) ** blocks)
