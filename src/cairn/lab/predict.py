"""Predicted time of a compiled program on a target, with a stated interval, or a refusal with its reason.

A prediction is never a measurement: it comes from the compiler's own schedule and a small model of the chip.
Where control flow or a trip count is unknown there is no number at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cairn.lab.service import CompileResult

MODEL_VERSION = "e1.0"


@dataclass(frozen=True)
class Prediction:
    """What the model says about one compiled program.

    Attributes:
        us: predicted device time, None when refused. `low_us`, `high_us`: the stated interval.
        cycles: the same in core cycles.
        breakdown: microseconds by cause: issue, mxu_stall, xlu_stall, eup_stall, dma_wait, neighbours.
        mxu_util: share of the time in which the matrix units were busy.
        hbm_bytes: bytes moved to and from HBM.
        spills, fills: executed vector spills and fills. bundles: executed bundles.
        flags: what to know before trusting the number.
        refused: the reason, None when there is a number.
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
    flags: tuple[str, ...] = ()
    refused: str | None = None
    model_version: str = MODEL_VERSION
    same_kernel_margin: float = 0.05


def predict(result: CompileResult, target: str) -> Prediction:
    """Predict the device time of a compiled program; refuse rather than guess."""
    if result.failure is not None:
        return Prediction(refused=f"it did not compile: {result.failure.kind}")
    return Prediction(refused="the cost model is not in place yet")
