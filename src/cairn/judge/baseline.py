"""The problem's baseline: its programs, run beside the variant's, and how far a variant may be from it.

For a chip without a device it has a replay process of its own, which no variant's program ever reaches, and a thread
that waits for it: what it answers is worked out while the variant's program runs.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cairn.errors import BadInput
from cairn.judge import correctness
from cairn.judge.case import Case
from cairn.judge.correctness import Array, OutputError, Wire
from cairn.judge.executors import Executor, ReplayExecutor
from cairn.judge.programs import Programs
from cairn.judge.protocol import Specs, VariantSource
from cairn.judge.verdict import Ruling
from cairn.problem import Problem, Shape, Tolerance


@dataclass(frozen=True)
class Asked:
    """The baseline at work on one set of inputs."""

    where: str
    path: Path
    future: Future[list[Wire] | Ruling]

    def outputs(self) -> list[Wire]:
        """What it answers, once it has.

        Raises:
            BadInput: it fails.
        """
        outputs = self.future.result()
        if isinstance(outputs, Ruling):
            raise broken(self.path, self.where, outputs)
        return outputs


class Baseline:
    """Runs the baseline's programs. Its failures are the problem's fault, so they are errors."""

    def __init__(self, problem: Problem, programs: Programs, executor: Executor) -> None:
        """`executor`: of a replay, the baseline's alone; of a device, the one that runs the variant."""
        self.path = problem.variant(problem.baseline)
        self.source = VariantSource.read(self.path)
        self._programs = programs
        self._executor = executor
        self._thread = ThreadPoolExecutor(1, "baseline") if isinstance(executor, ReplayExecutor) else None
        self._to_prepare: deque[bytes] = deque()

    def prepare(self, shapes: Sequence[Shape]) -> None:
        """Have its programs lowered, and compiled for the CPU where they are replayed, before they are asked for."""
        for lowered in self._programs.begin_alone(shapes):
            if self._thread is not None:
                lowered.add_done_callback(self._prepare_later)

    def _prepare_later(self, lowered: Future[bytes | Ruling]) -> None:
        program = None if lowered.cancelled() else lowered.result()
        if isinstance(program, bytes):
            self._to_prepare.append(program)
            if len(self._to_prepare) == 1:
                self._submit(self._prepare_next)

    def _prepare_next(self) -> None:
        """One program at a time, so that a run that is asked for meanwhile waits for one only."""
        if self._to_prepare:
            assert isinstance(self._executor, ReplayExecutor)
            self._executor.prepare(self._to_prepare[0])
            self._to_prepare.popleft()
        if self._to_prepare:
            self._submit(self._prepare_next)

    def _submit(self, act: Callable[[], None]) -> None:
        assert self._thread is not None
        with contextlib.suppress(RuntimeError):  # it has ended: nobody will ask
            self._thread.submit(act)

    def lowers(self, shape: Shape) -> bool:
        """Whether it has a program at a shape that the problem does not name."""
        return not isinstance(self._programs.lower_alone(self.source, [shape]), Ruling)

    def begin(self, shape: Shape, specs: Specs, blobs: Sequence[bytes]) -> Asked:
        """Begin to run it on inputs; whoever wants the answer waits for it."""
        programs = self._programs.lower_alone(self.source, [shape])
        future: Future[list[Wire] | Ruling] = Future()
        if isinstance(programs, Ruling):
            future.set_result(programs)
        elif self._thread is not None:
            future = self._thread.submit(self._executor.run, programs[0], specs, blobs)
        else:
            future.set_result(self._executor.run(programs[0], specs, blobs))
        return Asked(str(shape), self.path, future)

    def run(self, shape: Shape, specs: Specs, blobs: Sequence[bytes]) -> list[Wire]:
        """Its answer to inputs.

        Raises:
            BadInput: it fails.
        """
        return self.begin(shape, specs, blobs).outputs()

    def answer(self, shape: Shape, specs: Specs, blobs: Sequence[bytes]) -> list[Wire] | Ruling:
        """Its answer to inputs that it may refuse."""
        return self.begin(shape, specs, blobs).future.result()

    def close(self) -> None:
        """End its process; nobody waits for what it was doing."""
        if self._thread is not None:
            assert isinstance(self._executor, ReplayExecutor)
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._executor.replayer.kill()
            self._thread.shutdown()
            self._executor.close()


def broken(path: Path, where: str, ruling: Ruling) -> BadInput:
    """The error that a failure of the baseline is."""
    return BadInput(f"the baseline fails on {where}: {ruling.reason}: {ruling.detail[:800]}", path=path)


def against_baseline(
    case: Case, tolerance: Tolerance, name: str, dtype: str, mine: Array, base: Array
) -> OutputError:
    """An output held against the baseline's, which stands in for the truth; its own error is known by now.

    A variant and the baseline may each be off by their allowance, so their difference by both together.
    """
    earlier = case.allowances(name)
    rms, peak = correctness.distance(mine, base)
    share = 1 + 1 / tolerance.multiple
    # more elements, further outliers: the worst of millions lies beyond the worst of thousands
    farther = 2 * max(o["allowed_peak"] for o in earlier)
    return OutputError(
        output=name,
        rms=rms,
        peak=peak,
        allowed_rms=share * max(o["allowed_rms"] for o in earlier),
        allowed_peak=share * max(farther, correctness.peak_floor(tolerance.floor_of(dtype), base)),
        finite=bool(np.isfinite(mine).all()),
    )
