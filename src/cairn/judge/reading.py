"""Programs are read before anything else is done with them, in a process that is locked in.

The compiler and the timer are not locked in, and what they get was written by a process that ran a variant. So what
could not be read is not handed on to them, whoever's it is: not a variant's, nor that of an incumbent that somebody
names by hand. And a program that carries its answer, or more tables than it has work for, goes no further either.
"""

import secrets
from collections.abc import Sequence

import numpy as np

from cairn.judge import correctness
from cairn.judge.audit import audit
from cairn.judge.case import Case
from cairn.judge.correctness import Array
from cairn.judge.protocol import Oracle
from cairn.judge.replay import ProgramFacts, Replayer, Unreplayable
from cairn.judge.verdict import Ruling
from cairn.problem import Problem, Shape
from cairn.worker_process import WorkerFailure

# masks of 4096 by 4096, discrete Fourier transforms of length 1448 in float32: an honest kernel has no more
_TABLES_BYTES = 16 * 2**20
# or it has as much of them as it has inputs and outputs, a few times over
_TABLES_PER_WORK = 4


class Reader:
    """Reads programs of one platform; remembers those that nothing speaks against."""

    def __init__(self, problem: Problem, oracle: Oracle, replayer: Replayer, platform: str) -> None:
        self._problem = problem
        self._oracle = oracle
        self._replayer = replayer
        self._platform = platform
        self._harmless: set[bytes] = set()

    def read(self, program: bytes) -> ProgramFacts | Ruling:
        """What stands in a program, or that it cannot be read."""
        try:
            return self._replayer.inspect(program, self._platform)
        except (Unreplayable, WorkerFailure) as error:
            return Ruling("unreplayable", f"the program cannot be read: {error}"[:600])

    def refuse(self, programs: Sequence[bytes]) -> Ruling | None:
        """Why one of these must not leave the locked-in processes, if so. Precision is not asked about."""
        for program in programs:
            if program in self._harmless:
                continue
            facts = self.read(program)
            ruling = facts if isinstance(facts, Ruling) else audit(facts, (), self._platform)
            if ruling is not None:
                return ruling
            self._harmless.add(program)
        return None

    def tables(self, facts: ProgramFacts, shape: Shape) -> Ruling | None:
        """Whether the constants of a program are more than a kernel can need at this shape."""
        moved = self._oracle.cost(shape).bytes
        allowed = max(_TABLES_BYTES, _TABLES_PER_WORK * moved)
        if facts.constant_bytes <= allowed:
            return None
        text = f"{facts.constant_bytes:,} bytes of constants where {moved:,} are read and written"
        return Ruling("constant_table", f"{text}; {allowed:,} are allowed")

    def holds_answer(self, case: Case, program: bytes, shape: Shape) -> Ruling | None:
        """Whether a constant of the program would pass as the answer to inputs that are drawn now.

        Only inputs that are the same for each seed can be answered so. A mask, a table of angles or a transform is
        not an answer to a problem's own draws, so no honest kernel is told this.
        """
        draws = []
        for family in self._problem.families:
            draw = self._oracle.draw(secrets.randbits(31), shape, family)
            case.seeds.append(draw.seed)
            draws.append(draw)
        try:
            constants = self._replayer.constants(program, self._platform, {truth.size for truth in draws[0].truth})
        except (Unreplayable, WorkerFailure) as error:
            return Ruling("unreplayable", f"its constants cannot be read: {error}"[:600])
        for draw in draws:
            for name, truth in zip(self._problem.outputs, draw.truth, strict=True):
                allowed = _allowed_rms(case, name)
                if any(_passes(constant, truth, allowed) for constant in constants):
                    return Ruling("constant_answer", f"`{name}` on {draw.where} stands in the program")
        return None


def _allowed_rms(case: Case, name: str) -> float:
    """What a variant was allowed for an output on the problem's own families."""
    outputs = [output for check in case.checks for output in check["outputs"] if output["output"] == name]
    return min((float(output["allowed_rms"]) for output in outputs), default=0.0)


def _passes(constant: Array, truth: Array, allowed: float) -> bool:
    """Whether a constant is this answer, and the answer is not one that its mean would give as well."""
    if constant.size != truth.size or correctness.distance(np.full_like(truth, truth.mean()), truth)[0] <= allowed:
        return False
    return correctness.distance(constant.reshape(truth.shape), truth)[0] <= allowed
