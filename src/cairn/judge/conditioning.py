"""What an honest program may be off by on inputs that the problem's author never measured it on.

On large numbers an honest sum or exponential is off by their last bits, whatever the baseline manages. Two things say
how much: how far the truth moves when every float is moved by a few units of its last place in float32; and what that
place is worth in an absolute number of the inputs' size. The second counts where the truth has settled: once one entry
of a softmax took everything, it moves no more, and yet exp(x - logsumexp(x)) is rounded where x is large.
"""

import secrets
from dataclasses import replace
from typing import Any

import numpy as np

from cairn.errors import BadInput
from cairn.judge import correctness
from cairn.judge.correctness import OutputError, Wire, decode
from cairn.judge.protocol import Draw, Oracle, Specs

# what is further off than this is not clearly right, whatever the condition
CLEARLY_RIGHT_RMS = 0.05
_LAST_PLACE = 2.0**-23  # of a float32, relative
# how far inputs are moved to see how far the truth moves, and how often: equal moves cancel out
_LAST_BITS, _MOVES = 8 * _LAST_PLACE, 3
_FLOATS = ("float32", "bfloat16", "float16")


def as_conditioned(oracle: Oracle, draw: Draw, errors: list[OutputError], multiple: float) -> list[OutputError]:
    """The errors, with `multiple` times what the problem's condition and the inputs' size give as allowance."""
    unit = min(_LAST_PLACE * _size(draw), CLEARLY_RIGHT_RMS / multiple)
    errors = [
        _allowing(error, correctness.floor_for(truth, unit), multiple)
        for error, truth in zip(errors, draw.truth, strict=True)
    ]
    for _ in range(_MOVES):
        try:
            truth = oracle.truth(*_moved(draw))
        except BadInput:  # nobody promised that the reference takes wider types
            return errors
        errors = [
            _allowing(error, correctness.distance(moved, right), multiple)
            for error, moved, right in zip(errors, truth, draw.truth, strict=True)
        ]
    return errors


def _size(draw: Draw) -> float:
    """Root mean square of the input whose floats are largest."""
    arrays = zip(draw.specs, draw.blobs, strict=True)
    floats = [decode(_wire(spec, blob)) for spec, blob in arrays if spec["dtype"] in _FLOATS]
    return max((correctness.rms_of(each) for each in floats), default=0.0)


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
