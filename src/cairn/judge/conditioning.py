"""What an honest program may be off by on inputs that the problem's author never measured it on.

On large numbers an honest sum or exponential is off by their last bits, whatever the baseline manages. Two things say
how much. One is how far the truth moves when every float is moved by a few units of its last place in float32. The
other counts where that is no measure: once one entry of a softmax took everything it moves no more, and yet
exp(x - logsumexp(x)) is rounded where x is large. Such a row shows by its other entries, which stand still as well or
move much further than the inputs did. In it an entry may be off by what the last place is worth in the largest of the
inputs; where a truth follows its inputs it may not, or a hundredth too little would pass for rounding.
"""

import math
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cairn.errors import BadInput
from cairn.judge import correctness
from cairn.judge.correctness import Array, OutputError, Wire, decode
from cairn.judge.protocol import Draw, Oracle, Specs

# what is further off than this is not clearly right, whatever the condition
CLEARLY_RIGHT_RMS = 0.05
_LAST_PLACE = 2.0**-23  # of a float32, relative
# how far inputs are moved to see how far the truth moves, and how often: equal moves cancel out
_LAST_BITS, _MOVES = 8 * _LAST_PLACE, 3
# an element follows its inputs when it moves by about as much of itself as they do; a row, when so many of it do
_LEAST_FOLLOWING, _MOST_FOLLOWING, _ROW_FOLLOWS = 1 / 4, 4.0, 0.1
# roundings of a number as large as the largest input, and what is no rounding any more, relative to an element
_ROUNDINGS, _MOST_ROUNDED = 2.0, 0.1
_FLOATS = ("float32", "bfloat16", "float16")


def as_conditioned(
    oracle: Oracle, draw: Draw, outputs: Sequence[Wire], errors: list[OutputError], multiple: float
) -> list[OutputError]:
    """The errors of `outputs`, with `multiple` times what the problem's condition gives as allowance."""
    try:
        moves = [oracle.truth(*_moved(draw)) for _ in range(_MOVES)]
    except BadInput:  # nobody promised that the reference takes wider types
        return errors
    rounded = min(_ROUNDINGS * _LAST_PLACE * _largest(draw), _MOST_ROUNDED)
    conditioned = []
    for error, output, right, *moved in zip(errors, outputs, draw.truth, *moves, strict=True):
        if not right.size:
            conditioned.append(error)
            continue
        for truth in moved:
            error = _allowing(error, correctness.distance(truth, right), multiple)
        conditioned.append(_forgiving(error, decode(output) - right, right, moved, rounded))
    return conditioned


def _forgiving(
    error: OutputError, off: Array, right: Array, moved: Sequence[Array], rounded: float
) -> OutputError:
    """The error with as much more allowed as its rounded elements are off by."""
    # "within" instead of "not above": what is not a number is no rounding
    off = np.where(~_follows(right, moved) & (np.abs(off) <= rounded * np.abs(right)), off, 0.0)
    size = correctness.rms_of(right) or 1.0
    return replace(
        error,
        allowed_rms=math.hypot(error.allowed_rms, correctness.rms_of(off) / size),
        allowed_peak=max(error.allowed_peak, float(np.max(np.abs(off), initial=0.0)) / size),
    )


def _follows(right: Array, moved: Sequence[Array]) -> Array:
    """Which rows (along the last axis) of the truth follow their inputs; of one element, whether it does."""
    rows = np.atleast_1d(right)
    most = np.maximum.reduce([np.abs(np.atleast_1d(truth) - rows) for truth in moved])
    unit = _LAST_BITS * np.abs(rows)
    following = (most > _LEAST_FOLLOWING * unit) & (most < _MOST_FOLLOWING * unit)
    held: Array = following.mean(axis=-1, keepdims=True) >= _ROW_FOLLOWS
    return held.reshape(()) if right.ndim == 0 else held


def _largest(draw: Draw) -> float:
    """The largest size of a float among the inputs."""
    arrays = zip(draw.specs, draw.blobs, strict=True)
    floats = [decode(_wire(spec, blob)) for spec, blob in arrays if spec["dtype"] in _FLOATS]
    return max((float(np.max(np.abs(each), initial=0.0)) for each in floats), default=0.0)


def _moved(draw: Draw) -> tuple[Specs, list[bytes]]:
    """The inputs with every float moved at random, by eight units of the last place of float32 at most."""
    rng = np.random.default_rng(secrets.randbits(64))
    specs, blobs = [], []
    for spec, blob in zip(draw.specs, draw.blobs, strict=True):
        if spec["dtype"] in _FLOATS:
            values = decode(_wire(spec, blob))
            values *= 1 + rng.uniform(-_LAST_BITS, _LAST_BITS, values.shape)
            spec, blob = {**spec, "dtype": "float32"}, values.astype(np.float32).tobytes()
        specs.append(spec)
        blobs.append(blob)
    return specs, blobs


def _wire(spec: dict[str, Any], blob: bytes) -> Wire:
    return Wire(spec["dtype"], tuple(spec["shape"]), blob)


def _allowing(error: OutputError, moved: tuple[float, float], multiple: float) -> OutputError:
    """The error with an allowance of so many times what the truth moved by, but never one that is clearly wrong."""
    rms, peak = (multiple * each for each in moved)
    if not rms <= CLEARLY_RIGHT_RMS:
        return error
    return replace(error, allowed_rms=max(error.allowed_rms, rms), allowed_peak=max(error.allowed_peak, peak))
