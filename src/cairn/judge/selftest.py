"""Does a problem judge anything? Answers that are wrong on purpose must fail it, and its oracle must be an oracle.

A tolerance that lets zeros through, inputs that make every answer alike, or a "float64" truth that was computed in
float32 accept wrong kernels however carefully everything else is done. So before a problem is climbed it is shown
impostors, output by output: zeros, an input given back, the mean of the truth, the truth for other inputs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cairn.errors import BadInput
from cairn.judge import correctness
from cairn.judge.conditioning import CLEARLY_RIGHT_RMS
from cairn.judge.correctness import Array, OutputError, Wire, decode
from cairn.judge.executors import Executor
from cairn.judge.programs import Programs
from cairn.judge.protocol import Draw, Oracle, VariantSource
from cairn.judge.verdict import Ruling
from cairn.problem import Problem, Shape

_SEEDS = (1, 2)  # any two: nothing untrusted is examined here
_FLOATS = {"bfloat16", "float16", "float32"}


@dataclass(frozen=True)
class Finding:
    """One question about a problem and its answer; `fatal`: a climb on it would prove nothing."""

    what: str
    ok: bool
    detail: str
    fatal: bool = True


class SelfTest:
    """Examines a problem, not a variant."""

    def __init__(self, problem: Problem, oracle: Oracle, programs: Programs, executor: Executor) -> None:
        self._problem = problem
        self._oracle = oracle
        self._programs = programs
        self._executor = executor

    def run(self, progress: Callable[[str], None] = lambda text: None) -> list[Finding]:
        """All findings; those of the baseline end it when it has no outputs to compare with.

        Raises:
            BadInput: the reference itself fails.
        """
        shapes, families = self._problem.shapes.check, self._problem.families
        findings = [
            self._repeatable(shapes[0], families[0]),
            self._alive(shapes[0]),
            self._declared(),
            self._costs(),
        ]
        impostors, digits = list[str](), list[str]()
        worst: dict[str, OutputError] = {}
        for shape in shapes:
            for family in families:
                progress(f"{shape}, {family}")
                draw, other = (self._oracle.draw(seed, shape, family) for seed in _SEEDS)
                baseline = self._baseline(draw)
                if isinstance(baseline, Ruling):
                    detail = f"on {draw.where}: {baseline.reason}: {baseline.detail[:600]}"
                    return [*findings, Finding("baseline is right", False, detail)]
                for error in self._errors([decode(wire) for wire in baseline], baseline, draw):
                    known = worst.get(error.output)
                    worst[error.output] = error if known is None or error.rms > known.rms else known
                impostors += self._accepted(baseline, draw, other)
                digits += self._shallow(draw)
        return [*findings, *self._summary(worst, impostors, digits), self._own(shapes[0])]

    def _repeatable(self, shape: Shape, family: str) -> Finding:
        """The same seed must give the same problem, another seed another one."""
        first, again, other = (self._oracle.draw(seed, shape, family) for seed in (1, 1, 2))
        same = first.blobs == again.blobs and _alike(first, again)
        detail = "the same seed gives the same inputs, another seed others"
        if not same:
            detail = "one seed gives different inputs each time: make_inputs must take everything from its seed"
        elif first.blobs == other.blobs:
            same, detail = False, "every seed gives the same inputs: a table of answers would pass"
        return Finding("inputs come from the seed", same, detail)

    def _alive(self, shape: Shape) -> Finding:
        """What is the same for every seed can stand in a program as a table, with whatever follows from it."""
        what = "every input changes"
        fixed: set[int] | None = None
        for family in self._problem.families:
            _, first = self._oracle.inputs(1, shape, family)
            _, other = self._oracle.inputs(2, shape, family)
            same = {index for index, pair in enumerate(zip(first, other, strict=True)) if pair[0] == pair[1]}
            if len(same) == len(first):
                return Finding(what, False, f"family `{family}` is the same for every seed", fatal=False)
            fixed = same if fixed is None else fixed & same
        if fixed:
            detail = f"input {', '.join(map(str, sorted(fixed)))} is the same for every seed and family"
            return Finding(what, False, detail, fatal=False)
        return Finding(what, True, "with the seed, in one family at least")

    def _own(self, shape: Shape) -> Finding:
        """On how many families of the judge's own the problem makes sense, and what its inputs are taken to be."""
        domains = self._oracle.domains(shape)
        left_out = []
        for family in domains.families:
            try:
                draw = self._oracle.draw(_SEEDS[0], shape, family)
            except BadInput:
                left_out.append(f"{family} (the reference does not take it)")
                continue
            outputs = self._baseline(draw)
            if isinstance(outputs, Ruling) or not _holds(outputs, draw.truth):
                left_out.append(f"{family} (the baseline is off there)")
        inputs = "; ".join(f"input {index}: {text}" for index, text in enumerate(domains.inputs))
        detail = f"{len(domains.families) - len(left_out)} of {len(domains.families)} families of the judge's own"
        detail += f"{', not ' + ', '.join(left_out) if left_out else ''}; taken to be allowed: {inputs}"
        return Finding("more inputs can be made", len(left_out) < len(domains.families), detail, fatal=False)

    def _declared(self) -> Finding:
        """Inputs as drawn must be inputs as declared, at every shape that is checked."""
        for shape in (*self._problem.shapes.check, *self._problem.shapes.heldout):
            declared = self._oracle.specs(shape)
            drawn, _ = self._oracle.inputs(1, shape, self._problem.families[0])
            for index, (says, has) in enumerate(zip(declared, drawn, strict=False)):
                if (list(says["shape"]), says["dtype"]) != (list(has["shape"]), has["dtype"]):
                    detail = f"at {shape} input {index} is declared {_spec(says)} and drawn {_spec(has)}"
                    return Finding("inputs are as declared", False, detail)
            if len(declared) != len(drawn):
                detail = f"at {shape} {len(declared)} inputs are declared and {len(drawn)} drawn"
                return Finding("inputs are as declared", False, detail)
        return Finding("inputs are as declared", True, f"{len(declared)} inputs, types and sizes agree")

    def _costs(self) -> Finding:
        """A floor without operations still holds, but says less."""
        headline = self._problem.shapes.bench[0]
        cost = self._oracle.cost(headline)
        detail = f"{cost.flops:,} operations, {cost.bytes:,} bytes at {headline}"
        if cost.bytes <= 0:
            return Finding("cost is counted", False, f"{detail}: reading inputs and writing outputs moves bytes")
        if cost.flops <= 0:
            return Finding("cost is counted", False, f"{detail}: count the operations too", fatal=False)
        return Finding("cost is counted", True, detail)

    def _baseline(self, draw: Draw) -> list[Wire] | Ruling:
        source = VariantSource.read(self._problem.variant(self._problem.baseline))
        programs = self._programs.lower_alone(source, [draw.shape])
        if isinstance(programs, Ruling):
            return programs
        outputs = self._executor.run(programs[0], draw.specs, draw.blobs)
        if isinstance(outputs, Ruling):
            return outputs
        names, types = list(self._problem.outputs), list(self._problem.outputs.values())
        return correctness.check_form(outputs, draw.truth, names, types) or outputs

    def _errors(self, answers: Sequence[Array], baseline: Sequence[Wire], draw: Draw) -> list[OutputError]:
        return [
            correctness.compare(name, dtype, mine, decode(theirs), truth, self._problem.tolerance)
            for (name, dtype), mine, theirs, truth in zip(
                self._problem.outputs.items(), answers, baseline, draw.truth, strict=True
            )
        ]

    def _accepted(self, baseline: Sequence[Wire], draw: Draw, other: Draw) -> Iterator[str]:
        """Impostors that pass, as text."""
        for index, (name, dtype) in enumerate(self._problem.outputs.items()):
            truth, theirs = draw.truth[index], decode(baseline[index])
            for kind, answer in _impostors(draw, other, index):
                if correctness.compare(name, dtype, answer, theirs, truth, self._problem.tolerance).ok:
                    yield f"`{name}` accepts {kind} on {draw.where}"

    def _shallow(self, draw: Draw) -> Iterator[str]:
        """Outputs whose truth carries no more digits than float32 has; what is picked from the inputs has theirs."""
        for (name, dtype), truth in zip(self._problem.outputs.items(), draw.truth, strict=True):
            exact = bool((truth == np.round(truth)).all()) or _is_picked(truth, draw)
            if dtype in _FLOATS and not exact and bool((truth == truth.astype(np.float32)).all()):
                yield f"`{name}` on {draw.where}"

    def _summary(
        self, worst: dict[str, OutputError], impostors: Sequence[str], digits: Sequence[str]
    ) -> Iterator[Finding]:
        own = "; ".join(f"`{e.output}` off by {e.rms:.1e}, {e.allowed_rms:.1e} allowed" for e in worst.values())
        yield Finding("baseline is right", all(error.ok for error in worst.values()), own)
        loose = [error.output for error in worst.values() if not error.allowed_rms < 0.5]
        detail = f"{', '.join(loose)}: half of the output may be wrong" if loose else own
        yield Finding("tolerance is narrow", not loose, detail)
        detail = (
            "; ".join(impostors[:4]) if impostors else "zeros, inputs given back, the mean and other answers fail"
        )
        yield Finding("wrong answers fail", not impostors, detail)
        detail = "digits beyond float32 in every output"
        if digits:
            detail = (
                f"only float32 digits in {'; '.join(digits[:2])}: some line of the reference computes in float32"
            )
        # a float32 truth is good enough to judge bfloat16, and not to judge float32
        exact = [name for name, dtype in self._problem.outputs.items() if dtype == "float32"]
        fatal = any(f"`{name}`" in text for name in exact for text in digits)
        yield Finding("truth is float64", not digits, detail, fatal=fatal)


def _holds(outputs: Sequence[Wire], truth: Sequence[Array]) -> bool:
    return all(
        correctness.distance(decode(wire), right)[0] <= CLEARLY_RIGHT_RMS
        for wire, right in zip(outputs, truth, strict=True)
    )


def _impostors(draw: Draw, other: Draw, index: int) -> Iterator[tuple[str, Array]]:
    truth = draw.truth[index]
    yield "zeros", np.zeros_like(truth)
    yield "the mean of the truth", np.full_like(truth, truth.mean() if truth.size else 0.0)
    yield "the truth for other inputs", other.truth[index]
    for number, (spec, blob) in enumerate(zip(draw.specs, draw.blobs, strict=True)):
        if tuple(spec["shape"]) == truth.shape:
            yield f"input {number} given back", decode(Wire(spec["dtype"], tuple(spec["shape"]), blob))


def _is_picked(truth: Array, draw: Draw) -> bool:
    """Whether every element is one of the inputs' (a maximum, a gather, a sort), or zero."""
    given = [
        decode(Wire(spec["dtype"], tuple(spec["shape"]), blob))
        for spec, blob in zip(draw.specs, draw.blobs, strict=True)
    ]
    return bool(np.isin(truth, np.concatenate([np.zeros(1), *(array.ravel() for array in given)])).all())


def _alike(one: Draw, other: Draw) -> bool:
    return all(np.array_equal(mine, theirs) for mine, theirs in zip(one.truth, other.truth, strict=True))


def _spec(spec: dict[str, object]) -> str:
    return f"{spec['dtype']}{spec['shape']}"
