"""A case: everything the judge has found about one variant so far; receipts are written from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cairn.judge.correctness import OutputError
from cairn.judge.physics import Floors
from cairn.judge.prices import Price
from cairn.judge.protocol import VariantSource
from cairn.judge.timing import Timing
from cairn.judge.verdict import Ruling, Verdict
from cairn.problem import Shape

OWN_FAMILY = "judge:"  # families of the judge's own begin so; on these more was allowed than the problem says
PRICED = "priced:"  # before a family: with the whole numbers in its inputs that a price is for


@dataclass
class Case:
    """One variant before the judge. `ruling` is None until a stage decides.

    `doubt`: why the lowered program could not be checked itself, when only the interpreter has vouched for it.
    `purpose`: `decision`; `anchor` for a fixed point that others are compared with, which may be the baseline's twin;
    `confirmation` for the champion against the original baseline, whose numbers alone may be quoted.
    `number`: how many-eth candidate of its climb it is, or None when it is judged alone.
    """

    variant: VariantSource
    incumbent: VariantSource
    margin: float | None = None
    purpose: str = "decision"
    number: int | None = None
    ruling: Ruling | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=dict)
    programs: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    probes: list[dict[str, Any]] = field(default_factory=list)
    doubt: Ruling | None = None
    prices: list[Price] = field(default_factory=list)
    incumbent_prices: list[Price] = field(default_factory=list)
    floors: list[Floors] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    calibration: dict[str, Any] | None = None
    ratio: float | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict; only a finished case has one."""
        assert self.ruling is not None
        return self.ruling.verdict

    @property
    def cost_us(self) -> float | None:
        """Microseconds at the headline shape, the first bench shape: predicted or measured, as the target is."""
        if self.timings:
            return self.timings[0].candidate_us
        return self.prices[0].us if self.prices else None

    def note(self, stage: str, seconds: float, ruling: Ruling | None) -> None:
        """Record that a stage was run, and its ruling if it gave one."""
        entry: dict[str, Any] = {"stage": stage, "s": round(seconds, 3)}
        if ruling is not None:
            entry |= {"verdict": ruling.verdict.value, "reason": ruling.reason, "detail": ruling.detail}
        self.stages.append(entry)

    def note_check(
        self,
        shape: Shape,
        family: str,
        seed: int,
        executor: str,
        errors: Sequence[OutputError],
        *,
        stand_in: bool = False,
    ) -> None:
        """Record one comparison: on which inputs, who ran the program, and how far each output was off.

        `stand_in`: the allowance was not measured there, but derived from earlier checks.
        """
        outputs = [error.record() for error in errors]
        check = {"shape": shape, "family": family, "seed": seed, "executor": executor, "outputs": outputs}
        self.checks.append({**check, "stand_in": True} if stand_in else check)

    def allowances(self, output: str, family: str | None = None) -> list[dict[str, Any]]:
        """What earlier checks measured of an output against the truth, on one or all of the problem's own families."""
        measured = [
            check["outputs"]
            for check in self.checks
            if not check["family"].startswith(OWN_FAMILY)
            and not check.get("stand_in")
            and family in (None, check["family"])
        ]
        return [found for outputs in measured for found in outputs if found["output"] == output]
