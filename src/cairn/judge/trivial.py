"""Answers that nobody has to compute anything for. A problem that takes one of them for right judges nothing."""

from collections.abc import Iterator

import numpy as np

from cairn.judge.correctness import Array, OutputError, Wire, decode, distance
from cairn.judge.protocol import Draw


class TrivialAnswers:
    """Which trivial answers have passed every draw so far.

    One that passes a single family may be right there (a constant input has a constant answer); one that passes them
    all makes the problem worthless.
    """

    def __init__(self) -> None:
        self._passing: set[str] | None = None

    def add(self, draw: Draw, errors: list[OutputError]) -> None:
        """Hold the trivial answers to one draw against what a variant would be allowed."""
        if self._passing is not None and not self._passing:
            return
        passing = {
            name
            for name, answers in _answers(draw)
            if all(
                _passes(answer, truth, error)
                for answer, truth, error in zip(answers, draw.truth, errors, strict=True)
            )
        }
        self._passing = passing if self._passing is None else self._passing & passing

    @property
    def passing(self) -> list[str]:
        """Names of those that nothing has refused."""
        return sorted(self._passing or ())


def _answers(draw: Draw) -> Iterator[tuple[str, list[Array]]]:
    """Zeros, the mean of each output, and every input that has the form of each output."""
    yield "zeros", [np.zeros_like(truth) for truth in draw.truth]
    yield "the mean", [np.full_like(truth, truth.mean() if truth.size else 0.0) for truth in draw.truth]
    for index, (spec, blob) in enumerate(zip(draw.specs, draw.blobs, strict=True)):
        if all(tuple(spec["shape"]) == truth.shape for truth in draw.truth):
            given = decode(Wire(spec["dtype"], tuple(spec["shape"]), blob))
            yield f"input {index} itself", [given for _ in draw.truth]


def _passes(answer: Array, truth: Array, error: OutputError) -> bool:
    rms, peak = distance(answer, truth)
    return rms <= error.allowed_rms and peak <= error.allowed_peak
