"""Predicted time of a compiled program on a target, with a stated interval, or a refusal with its reason.

A prediction is never a measurement: it comes from the compiler's own schedule and a small model of the chip. An
optimiser that sees nothing else will find the model's blind spots (bank conflicts, free vector ports, fetching of
very large programs, clocks and heat). Where control flow, a copy or a trip count is unknown there is no number.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cairn.lab import chip, hlo
from cairn.lab.chip import Chip
from cairn.lab.kernels import Kernels
from cairn.lab.known import KnownOperands
from cairn.lab.observe import Observe
from cairn.lab.regime import regime
from cairn.lab.schedule import Refused, Schedule, Times
from cairn.lab.service import CompileResult

MODEL_VERSION = "e1.2"
_EIGHT_BIT_PRODUCT = re.compile(r"= vmatmul\.[\w.]*\b[suf][48]\w*")


@dataclass(frozen=True)
class Prediction:
    """What the model says about one compiled program.

    Attributes:
        us: predicted device time of one call, None when refused. `low_us`, `high_us`: the stated interval.
        cycles: the same in core cycles.
        breakdown: microseconds by cause; they add up to `us`. `issue`, `mxu_stall`, `unit_stall`, `dma_wait`:
            inside Pallas kernels, or inside the fusions of a program that has none. `neighbours`: XLA's own work
            round the kernels, copies and calls included.
        mxu_util: share of the time in which the matrix units were busy.
        hbm_bytes: bytes moved to and from HBM, both cores together.
        spills, fills: executed vector spills and fills. bundles: executed bundles. Of the slower core.
        by_bytes: share of the time that was costed by bytes over bandwidth alone, without a program.
        flags: what to know before trusting the number.
        refused: the reason, None when there is a number.
        same_kernel_margin: relative difference below which two configurations of one kernel are a tie.
    """

    us: float | None = None
    low_us: float | None = None
    high_us: float | None = None
    cycles: float | None = None
    breakdown: Mapping[str, float] = field(default_factory=dict)
    mxu_util: float | None = None
    hbm_bytes: int | None = None
    spills: int = 0
    fills: int = 0
    bundles: int = 0
    by_bytes: float = 0.0
    flags: tuple[str, ...] = ()
    refused: str | None = None
    model_version: str = MODEL_VERSION
    same_kernel_margin: float = 0.05


def predict(result: CompileResult, target: str, observe: Observe | None = None) -> Prediction:
    """Predict the device time of a compiled program; refuse rather than guess.

    Args:
        result: what the compile service said; a failure is a refusal.
        target: the target it was compiled for.
        observe: gives the observer for an instruction's program, called once for each distinct program that was
            simulated, whatever the number of times it is executed.

    Raises:
        UsageError: the target is unknown.
    """
    figures = chip.load(target)
    if result.failure is not None:
        return Prediction(refused=f"it did not compile: {result.failure.kind}")
    if result.target != target:
        return Prediction(refused=f"compiled for {result.target}, not for {target}")
    if result.dump.truncated:
        return Prediction(refused="the compiler's dump is too large to read")
    try:
        module = hlo.parse(result.dump.hlo)
        kernels = Kernels(result.dump.bundles, figures, observe)
        known = KnownOperands(module, result.known)
        schedule = Schedule(module, kernels, known, result.dump.bundles.get("TLP", ""), figures)
        total_us = schedule.total_us()
    except (hlo.UnreadableHlo, Refused) as error:
        return Prediction(refused=str(error))
    if total_us <= 0.0:
        return Prediction(refused="the program does nothing")
    prediction = _prediction(total_us, schedule.times, figures, has_kernels=bool(result.custom_calls))
    return _widened(prediction) if _has_eight_bit_products(result.dump.bundles.values()) else prediction


def _has_eight_bit_products(texts: Iterable[str]) -> bool:
    return any(_EIGHT_BIT_PRODUCT.search(text) for text in texts)


def _widened(prediction: Prediction) -> Prediction:
    """Nobody published times of eight-bit products that could be held out, so the widest interval of all chips."""
    assert prediction.us is not None
    widest = max(max(chip.load(target).interval_fraction.values()) for target in chip.TARGETS)
    margin = 1.0 + widest + prediction.by_bytes
    flag = "eight-bit products: no measurement was held out for them; the widest interval of all chips"
    return replace(
        prediction,
        low_us=prediction.us / margin,
        high_us=prediction.us * margin,
        flags=(*prediction.flags, flag),
    )


def _prediction(total_us: float, times: Times, figures: Chip, *, has_kernels: bool) -> Prediction:
    breakdown, mxu_util = _breakdown(total_us, times, has_kernels=has_kernels), times.mxu_busy_us / total_us
    bound = regime(breakdown, mxu_util)
    margin = figures.interval_fraction[bound] + times.by_bytes_us / total_us
    return Prediction(
        us=total_us,
        low_us=total_us / (1.0 + margin),
        high_us=total_us * (1.0 + margin),
        cycles=total_us * figures.cycles_per_us,
        breakdown=breakdown,
        mxu_util=mxu_util,
        hbm_bytes=round(times.hbm_bytes),
        spills=round(times.spills),
        fills=round(times.fills),
        bundles=round(times.bundles),
        by_bytes=times.by_bytes_us / total_us,
        flags=(f"bound by: {bound}", *_flags(total_us, times, figures)),
        same_kernel_margin=figures.same_kernel_margin,
    )


def _breakdown(total_us: float, times: Times, *, has_kernels: bool) -> dict[str, float]:
    """Inside the kernels where there are any; the fusions are then neighbours."""
    split = times.kernels if has_kernels else times.fusions
    parts = {"issue": split.issue_us, "mxu_stall": split.mxu_stall_us}
    parts |= {"unit_stall": split.unit_stall_us, "dma_wait": split.dma_wait_us}
    return {**parts, "neighbours": total_us - split.total_us}


def _flags(total_us: float, times: Times, figures: Chip) -> list[str]:
    flags = ["operands: neighbours charged"]
    simulated, by_bytes = (
        (times.kernels.total_us + times.fusions.total_us) / total_us,
        times.by_bytes_us / total_us,
    )
    rest = (times.copies_us + times.overhead_us) / total_us
    flags.append(f"{simulated:.0%} of the time from bundles, {by_bytes:.0%} by bytes, {rest:.0%} copies and calls")
    flags.extend(f"by bytes only, {reason}" for reason in sorted(times.unresolved))
    if figures.clock_scale != 1.0:
        flags.append(
            f"{figures.target}: clock scaled by {figures.clock_scale:g} without matrix work to "
            f"{figures.clock_scale_busy:g} with nothing else; compare unlike kernels with care"
        )
    return flags
