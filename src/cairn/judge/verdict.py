"""The five verdicts, why each is given, and the rule that turns two predicted costs into one of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cairn.worker_process import WorkerFailure, plain


class Verdict(StrEnum):
    """What becomes of a variant."""

    KEEP = "KEEP"
    DISCARD = "DISCARD"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"
    CRASH = "CRASH"


# reason code -> (verdict, measurement class, what it means)
REASONS: dict[str, tuple[Verdict, str, str]] = {
    "faster": (Verdict.KEEP, "OK", "cheaper than the incumbent by more than the margin"),
    "slower": (Verdict.DISCARD, "OK", "dearer than the incumbent by more than the margin"),
    "no_op": (Verdict.DISCARD, "OK", "lowers to the same program as the incumbent"),
    "wrong_output": (Verdict.DISCARD, "WRONG_OUTPUT", "an output is further from the truth than allowed"),
    "wrong_shape": (Verdict.DISCARD, "WRONG_OUTPUT", "number, shape or type of the outputs differ"),
    "insensitive": (
        Verdict.DISCARD,
        "WRONG_OUTPUT",
        "an output does not follow a change of an input as the truth does",
    ),
    "no_kernel": (
        Verdict.DISCARD,
        "OK",
        "outputs depend on fewer kernel calls than the problem asks for, or kernels do next to nothing",
    ),
    "broken_property": (Verdict.DISCARD, "WRONG_OUTPUT", "an identity that the reference states does not hold"),
    "low_precision": (
        Verdict.DISCARD,
        "WRONG_OUTPUT",
        "a product of matrices is less precise than the problem declares",
    ),
    "non_finite": (Verdict.DISCARD, "NON_FINITE", "an output has a NaN or an infinity"),
    "within_margin": (Verdict.INCONCLUSIVE, "OK", "the difference is inside the margin"),
    "prediction_refused": (Verdict.INCONCLUSIVE, "OK", "the cost model cannot price this program"),
    "unreplayable": (Verdict.INCONCLUSIVE, "OK", "the lowered program has something that cannot be checked here"),
    "incumbent_unfit": (Verdict.INCONCLUSIVE, "OK", "the incumbent has no cost to compare with"),
    "frozen_changed": (Verdict.INVALID, "CHEAT", "a file that must not change was changed"),
    "forged_reply": (Verdict.INVALID, "CHEAT", "the worker sent an answer that nobody asked for"),
    "host_callback": (Verdict.INVALID, "CHEAT", "the program calls back into Python"),
    "unexpected_call": (Verdict.INVALID, "CHEAT", "the program calls something that is no kernel"),
    "donated_input": (Verdict.INVALID, "CHEAT", "the program overwrites its inputs"),
    "constant_output": (Verdict.INVALID, "CHEAT", "an output depends on no input"),
    "constant_answer": (Verdict.INVALID, "CHEAT", "a constant in the program is the answer to fresh inputs"),
    "constant_table": (Verdict.INVALID, "UNTRUSTED", "the program carries more constants than it has work for"),
    "clock_disagrees": (Verdict.INVALID, "UNTRUSTED", "the timer's samples do not fit the judge's own clock"),
    "below_floor": (Verdict.INVALID, "UNTRUSTED", "faster than physics allows"),
    "import_error": (Verdict.CRASH, "TRACE_ERROR", "the file cannot be imported or lacks Config or run"),
    "trace_error": (Verdict.CRASH, "TRACE_ERROR", "tracing or lowering raised"),
    "runtime_error": (Verdict.CRASH, "RUNTIME_ERROR", "running it raised"),
    "exited": (Verdict.CRASH, "RUNTIME_ERROR", "the process ended before it answered"),
    "killed": (Verdict.CRASH, "RUNTIME_ERROR", "the process died by a signal"),
    "memory": (Verdict.CRASH, "RUNTIME_ERROR", "the process took more memory than allowed"),
    "out_of_bounds": (Verdict.CRASH, "RUNTIME_ERROR", "the program reads or writes outside a buffer"),
    "stuck": (Verdict.CRASH, "RUNTIME_ERROR", "the program waits for what never comes"),
    "timeout": (Verdict.CRASH, "TIMEOUT", "no answer within the limit"),
    "compile_error": (Verdict.CRASH, "COMPILE_ERROR", "the TPU compiler refused it"),
    "block_shape": (Verdict.CRASH, "COMPILE_ERROR", "a block shape the chip cannot have"),
    "unsupported": (Verdict.CRASH, "COMPILE_ERROR", "an operation without a TPU lowering"),
    "alignment": (Verdict.CRASH, "COMPILE_ERROR", "an offset that is not provably aligned"),
    "bounds": (Verdict.CRASH, "COMPILE_ERROR", "a static access outside its array"),
    "dtype": (Verdict.CRASH, "COMPILE_ERROR", "a type the unit does not take"),
    "shape": (Verdict.CRASH, "COMPILE_ERROR", "shapes inside the kernel that do not fit together"),
    "arguments": (Verdict.CRASH, "COMPILE_ERROR", "a kernel or index map with too few or too many arguments"),
    "import": (Verdict.CRASH, "TRACE_ERROR", "a module that is imported is not there"),
    "captured": (Verdict.CRASH, "COMPILE_ERROR", "an array from outside that the kernel was not given"),
    "traced_value": (Verdict.CRASH, "COMPILE_ERROR", "Python control flow that depends on a traced value"),
    "parallel": (Verdict.CRASH, "COMPILE_ERROR", "an axis over cores has not one step for each of them"),
    "layout": (Verdict.CRASH, "COMPILE_ERROR", "a vector layout that cannot be made"),
    "vmem_oom": (Verdict.CRASH, "VMEM_OOM", "vector memory overflows"),
    "smem_oom": (Verdict.CRASH, "VMEM_OOM", "scalar memory overflows"),
    "hbm_oom": (Verdict.CRASH, "VMEM_OOM", "main memory overflows"),
    "crash": (Verdict.CRASH, "COMPILE_ERROR", "the compiler died on it"),
}
_DETAIL_CHARS = 4000
_FAILURE_REASON = {"garbled": "forged_reply", "weak": "wrong_shape"}


@dataclass(frozen=True)
class Ruling:
    """A verdict with its reason code, the measurement class and one line of evidence."""

    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        # much of it is a variant's own words: nothing in them may move a cursor or break an encoding
        object.__setattr__(self, "detail", plain(self.detail, _DETAIL_CHARS))

    @property
    def verdict(self) -> Verdict:
        return REASONS[self.reason][0]

    @property
    def measurement_class(self) -> str:
        return REASONS[self.reason][1]

    @property
    def meaning(self) -> str:
        return REASONS[self.reason][2]


def ruling_of_failure(failure: WorkerFailure, raised: str) -> Ruling:
    """What a worker's failure means; `raised` is the reason when the request merely raised."""
    reason = raised if failure.reason == "raised" else _FAILURE_REASON.get(failure.reason, failure.reason)
    return Ruling(reason, " ".join(failure.detail.split())[:600])


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean of positive values: the average of ratios that does not depend on the unit."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def rule_on_cost(
    candidate_us: Sequence[float], incumbent_us: Sequence[float], margin: float
) -> tuple[Ruling, float]:
    """Compare predicted costs over the same shapes; give the ruling and the ratio candidate / incumbent.

    A prediction has no noise but an error: `margin` is the relative difference below which it proves nothing.
    """
    ratio = geometric_mean([mine / theirs for mine, theirs in zip(candidate_us, incumbent_us, strict=True)])
    text = f"{ratio:.3f} of the incumbent's predicted cost, margin {100 * margin:.3g} %"
    if ratio < 1 - margin:
        return Ruling("faster", text), ratio
    return Ruling("slower" if ratio > 1 + margin else "within_margin", text), ratio
