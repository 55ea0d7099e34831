"""Probes of one checked program: change a little of its input, and see whether the right outputs change by as much."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cairn.errors import BadInput
from cairn.judge import correctness, sensitivity
from cairn.judge.baseline import Baseline
from cairn.judge.case import Case
from cairn.judge.correctness import Array, Wire, decode
from cairn.judge.executors import Executor
from cairn.judge.protocol import Draw, Oracle
from cairn.judge.sensitivity import Perturbation
from cairn.judge.verdict import Ruling
from cairn.problem import Problem

_PROBES = 2


@dataclass(frozen=True)
class Checked:
    """A check that a variant has passed: its program, the inputs and the truth, its outputs and the baseline's."""

    program: bytes
    draw: Draw
    outputs: Sequence[Wire]
    baseline: Sequence[Wire]


class Prober:
    """Probes programs where they were checked."""

    def __init__(self, problem: Problem, oracle: Oracle, executor: Executor, baseline: Baseline) -> None:
        self._problem = problem
        self._names = list(problem.outputs)
        self._dtypes = list(problem.outputs.values())
        self._oracle = oracle
        self._executor = executor
        self._baseline = baseline

    def probe(self, case: Case, checked: Checked) -> Ruling | None:
        """A few probes at random places; None when the program follows each of them, or none can see anything."""
        for _ in range(_PROBES):
            ruling = self._probe_once(case, checked)
            if ruling is not None:
                return ruling
        return None

    def _probe_once(self, case: Case, checked: Checked) -> Ruling | None:
        draw = checked.draw
        _, donor = self._oracle.inputs(secrets.randbits(31), draw.shape, draw.family)
        noise = [
            sensitivity.noise_of(dtype, correctness.distance(decode(base), truth)[0], self._problem.tolerance)
            for dtype, base, truth in zip(self._dtypes, checked.baseline, draw.truth, strict=True)
        ]
        for where in sensitivity.perturbations(draw.specs):
            blobs = where.apply(draw.specs, draw.blobs, donor)
            if blobs == draw.blobs:
                continue
            try:
                truth = self._oracle.truth(draw.specs, blobs)
            except BadInput:
                continue  # the reference does not take such inputs, so no variant has to
            seen = [
                sensitivity.visible(before, after, off)
                for before, after, off in zip(draw.truth, truth, noise, strict=True)
            ]
            if any(seen):
                return self._follow(case, checked, where, blobs, (truth, seen))
        return None

    def _follow(
        self,
        case: Case,
        checked: Checked,
        where: Perturbation,
        blobs: list[bytes],
        expected: tuple[list[Array], list[bool]],
    ) -> Ruling | None:
        """Run both programs on the changed inputs and compare what changed."""
        draw, (truth, seen) = checked.draw, expected
        asked = self._baseline.begin(draw.shape, draw.specs, blobs)
        outputs = self._executor.run(checked.program, draw.specs, blobs)
        if isinstance(outputs, Ruling):
            return outputs
        ruling = correctness.check_form(outputs, truth, self._names, self._dtypes)
        if ruling is not None:
            return ruling
        baseline = asked.outputs()
        responses = [
            sensitivity.response(
                self._names[i],
                (decode(checked.outputs[i]), decode(outputs[i])),
                (decode(checked.baseline[i]), decode(baseline[i])),
                (draw.truth[i], truth[i]),
                self._problem.tolerance.floor_of(self._dtypes[i]),
            )
            for i in range(len(truth))
            if seen[i]
        ]
        responses = [found for found in responses if sensitivity.trusted(found)]
        case.probes.append(
            {
                "shape": draw.shape,
                "family": draw.family,
                "input": where.index,
                "elements": [where.start, where.start + where.count],
                "outputs": [found.record() for found in responses],
            }
        )
        return sensitivity.rule(responses, f"{draw.where}, {where.count} elements of input {where.index} changed")
