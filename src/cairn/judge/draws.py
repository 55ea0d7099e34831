"""Inputs of the shapes that were priced, drawn beside other checks, in a process and a thread of their own."""

import contextlib
import secrets
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import CairnError
from cairn.judge import slices
from cairn.judge.case import OWN_FAMILY, PRICED
from cairn.judge.correctness import Array
from cairn.judge.protocol import Oracle, Specs
from cairn.judge.slices import Axis
from cairn.lab.cache import Cache
from cairn.problem import Problem, Shape


@dataclass(frozen=True)
class BenchInputs:
    """Inputs at a shape; `truth` where it was asked for."""

    seed: int
    family: str
    specs: Specs
    blobs: list[bytes]
    truth: list[Array] | None


class BenchDraws:
    """Draws inputs of large shapes, which takes seconds, and knows which axes need not be drawn whole."""

    def __init__(self, problem: Problem, python: Path, cache: Cache | None) -> None:
        self._problem = problem
        self._python = python
        self._cache = cache
        self._oracle: Oracle | None = None
        self._axes: list[Axis] | None = None
        self._thread = ThreadPoolExecutor(1, "draws")
        self._begun: list[Future[BenchInputs]] = []

    def begin(
        self, shape: Shape, truth: bool, *, priced: bool = False, family: str | None = None
    ) -> Future[BenchInputs]:
        """Begin to draw, with a seed and a family chosen now; the variant must have been loaded.

        `family`: one of the judge's own; else one of the problem's is drawn.
        `priced`: with the whole numbers in them that the problem's price is for.

        The future raises BadInput where the reference fails.
        """
        seed, family = secrets.randbits(31), family or secrets.choice(self._problem.families)
        family = f"{PRICED}{family}" if priced else family
        self._begun.append(self._thread.submit(self._draw, seed, shape, family, truth))
        return self._begun[-1]

    def axes(self) -> list[Axis]:
        """The axes that the problem treats independently; found out once."""
        return self._axes if self._axes is not None else self._thread.submit(self._find_axes).result()

    def _draw(self, seed: int, shape: Shape, family: str, truth: bool) -> BenchInputs:
        if family.startswith(OWN_FAMILY):  # what may be varied is learned from draws: small ones show it as well
            self._ready().domains(self._problem.shapes.check[0])
        if truth:
            draw = self._ready().draw(seed, shape, family)
            return BenchInputs(seed, family, draw.specs, draw.blobs, draw.truth)
        return BenchInputs(seed, family, *self._ready().inputs(seed, shape, family), None)

    def _find_axes(self) -> list[Axis]:
        if self._axes is None:
            self._axes = slices.independent_axes(self._ready(), self._problem, self._cache)
        return self._axes

    def _ready(self) -> Oracle:
        if self._oracle is not None and not self._oracle.alive:
            self._oracle.close()
            self._oracle = None
        if self._oracle is None:
            self._oracle = Oracle(self._problem, self._python)
        return self._oracle

    def abandon(self) -> None:
        """Nobody wants what was begun."""
        begun, self._begun = self._begun, []
        running = [future for future in begun if not future.cancel() and not future.done()]
        oracle = self._oracle
        if running and oracle is not None:
            oracle.kill()
            wait(running)
            self._oracle = None
        for future in running:
            with contextlib.suppress(CairnError, CancelledError):
                future.result()
        if running and oracle is not None:
            oracle.close()

    def close(self) -> None:
        """End the process and the thread."""
        self.abandon()
        self._thread.shutdown()
        if self._oracle is not None:
            self._oracle.close()
