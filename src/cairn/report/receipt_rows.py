"""The rows of a receipt: what a report may know about one judgement. See `rows.py` for the rest of the format."""

import msgspec


class Stage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stage of a judgement.

    Attributes:
        stage: its name.
        s: seconds it took.
        reason: reason code when the stage decided, else empty.
    """

    stage: str
    s: float
    reason: str = ""


class ShapeCost(msgspec.Struct, frozen=True, omit_defaults=True):
    """The predicted cost of one bench shape, and what the compiler said about the program.

    Attributes:
        shape: the sizes, as text.
        us: predicted microseconds; absent when the model refused.
        low_us: lower end of the stated interval.
        high_us: upper end of the stated interval.
        incumbent_us: predicted microseconds of what it was compared with.
        refused: why there is no prediction.
        physics_us: time below which physics forbids a result.
        physics_bound_by: what sets that limit: bytes, flops or none.
        target_us: the floor to aim at.
        target_bound_by: what sets that floor.
        breakdown_us: microseconds by cause; they add up to `us`.
        metrics: figures of the compiler and the model by name, such as bundles, spills, fills, mxu_util, hbm_bytes.
        flags: what to know before trusting the number.
    """

    shape: str
    us: float | None = None
    low_us: float | None = None
    high_us: float | None = None
    incumbent_us: float | None = None
    refused: str = ""
    physics_us: float | None = None
    physics_bound_by: str = ""
    target_us: float | None = None
    target_bound_by: str = ""
    breakdown_us: dict[str, float] = {}
    metrics: dict[str, float | str] = {}
    flags: list[str] = []


class Timing(msgspec.Struct, frozen=True, omit_defaults=True):
    """The measured cost of one bench shape: candidate and incumbent timed in pairs.

    Attributes:
        shape: the sizes, as text.
        us: median microseconds of the candidate.
        low_us: lower end of its 95 % interval.
        high_us: upper end of its 95 % interval.
        incumbent_us: median microseconds of the incumbent.
        ratio: median of the paired ratios candidate / incumbent.
        ratio_low: lower end of its 95 % interval.
        ratio_high: upper end of its 95 % interval.
        threshold: relative gain that counts.
        least_effect: relative gain that this noise lets a full run see four times out of five.
        device: what it ran on.
        ratios: one list of paired ratios for each fresh process, in the order they were taken.
        ratios_left_out: how many more there are in the receipt.
    """

    shape: str
    us: float
    incumbent_us: float
    ratio: float
    ratio_low: float
    ratio_high: float
    low_us: float | None = None
    high_us: float | None = None
    threshold: float | None = None
    least_effect: float | None = None
    device: str = ""
    ratios: list[list[float]] = []
    ratios_left_out: int = 0


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One comparison with the oracle.

    Attributes:
        shape: the sizes, as text.
        family: kind of inputs.
        executor: who ran the program.
        output: the output that came closest to what is allowed.
        rms: its error.
        allowed: the error that is allowed.
        ok: whether every output of this draw was within bounds.
    """

    shape: str
    family: str
    executor: str = ""
    output: str = ""
    rms: float | None = None
    allowed: float | None = None
    ok: bool = True


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the judge wrote about one variant.

    Attributes:
        id: the receipt's id.
        time: when it was written, ISO 8601.
        hash: its own hash in the chain.
        measurement_class: the class of the measurement, such as OK or COMPILE_ERROR.
        detail: the line of evidence.
        rule: how the decision was taken.
        margin: relative gain that counts as real.
        stages: what was done, in order.
        shapes: predicted costs.
        timings: measured costs.
        checks: comparisons with the oracle.
        calibration: what is known about the clock or the model when compared with itself (A/A), by name.
        doubt: why the lowered program could not be checked itself, if so.
    """

    id: str
    time: str = ""
    hash: str = ""
    measurement_class: str = ""
    detail: str = ""
    rule: str = ""
    margin: float | None = None
    stages: list[Stage] = []
    shapes: list[ShapeCost] = []
    timings: list[Timing] = []
    checks: list[Check] = []
    calibration: dict[str, float | str] = {}
    doubt: str = ""
