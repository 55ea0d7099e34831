"""Reasons to distrust what stands beside a foreign time: counters, captures, dumps, the timed program itself."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from cairn.judge.foreign.findings import ResultFinding, finding, named
from cairn.judge.foreign.reader import ForeignResult, ForeignRun, block, finite, leaves, number
from cairn.judge.foreign.timing import grouped, shared

CAPTURE_LIMIT = 1_000_000
IDLE_UNIT_OPS = 100
_CAPTURE = ("total_events", "tpu_events", "computation_events", "window_us")
_FIGURES = re.compile(r"(?:latency_ms|speedup|fitness|max_diff|flops|_time_ms|median_ms|min_ms|max_ms|cv)\Z")
_NON_FINITE_WORDS = {"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
_HLO, _LLO = "hlo_post_opt.txt", "llo_final.txt"
_BLOCK_BYTES = 1 << 20
_LAYOUT = re.compile(r"entry_computation_layout=\{\((?P<inputs>.*?)\)\s*->\s*(?P<outputs>.*)")
_ENTRY = re.compile(r"^ENTRY\s+\S+\s*\((?P<inputs>.*)\)\s*->\s*(?P<outputs>.*)\{\s*$", re.M)
_SCALAR = r"\w+\[\](?:\{[^}]*\})?"
_LONE_SCALAR = re.compile(rf"(?:{_SCALAR}|\(\s*{_SCALAR}\s*\))\s*(?:[,}}]|\Z)")


def not_finite(run: ForeignRun) -> Iterator[ResultFinding]:
    """NaN passes every comparison that is written the usual way, so one is enough."""
    for result in run.results:
        where = sorted(path for path, value in leaves(result.data) if _is_non_finite(path, value))
        if where:
            yield finding(result, "non_finite", f"not finite: {named(where)}")


def _is_non_finite(path: str, value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _NON_FINITE_WORDS and _FIGURES.search(path) is not None
    found = number(value)
    return found is not None and not math.isfinite(found)


def identical_counters(run: ForeignRun) -> Iterator[ResultFinding]:
    """Two programs do not leave the same hardware counters, or captures of the same size to the microsecond."""
    for sentence, counters in (
        ("hardware counters are those of", _hardware_counters),
        ("the capture is that of", _capture_counters),
    ):
        keyed = ((key, result) for result in run.results if (key := counters(result)))
        yield from shared(grouped(keyed), "identical_counters", sentence)


def _hardware_counters(result: ForeignResult) -> tuple[tuple[str, float], ...]:
    return _counters(block(result.metadata, "hw_utilization"))


def _capture_counters(result: ForeignResult) -> tuple[tuple[str, float], ...]:
    capture = block(result.metadata, "profile_diagnostics")
    return _counters({key: capture.get(key) for key in _CAPTURE}) if finite(capture.get("window_us")) else ()


def _counters(data: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """The counters that are set; fewer than two prove nothing, because units lie idle in many kernels."""
    known = [(key, value) for key, each in sorted(data.items()) if (value := finite(each))]
    return tuple(known) if len(known) > 1 else ()


def truncated(run: ForeignRun) -> Iterator[ResultFinding]:
    """The trace viewer cuts a capture off at a million events, and what was cut off is not in the time."""
    for result in run.results:
        capture = block(result.metadata, "profile_diagnostics")
        events = max(finite(capture.get(key)) or 0.0 for key in ("total_events", "tpu_events"))
        if events >= CAPTURE_LIMIT:
            yield finding(result, "truncated_capture", f"{events:.0f} events; captures end at {CAPTURE_LIMIT}")


def constant_metrics(run: ForeignRun) -> Iterator[ResultFinding]:
    """A figure that is the same whatever was run measures something else."""
    for name, read, never_measured in (
        ("compute_ratio", _compute_ratio, {1.0}),
        ("dual_ratio", _dual_ratio, {0.0, 1.0}),
    ):
        known = [(result, value) for result in run.results if (value := read(result)) is not None]
        if len(known) > 1 and {value for _, value in known} <= never_measured:
            seen = " or ".join(f"{value:g}" for value in sorted({value for _, value in known}))
            for result, _ in known:
                yield finding(result, "constant_metric", f"{name} is exactly {seen} in all {len(known)} results")


def _compute_ratio(result: ForeignResult) -> float | None:
    return finite(result.data.get("compute_ratio"))


def _matrix_units(result: ForeignResult) -> Mapping[str, Any]:
    return block(result.metadata, "profile", "mxu_utilization")


def _dual_ratio(result: ForeignResult) -> float | None:
    """None where the kernel has no matrix operation: then 0 is the truth."""
    units = _matrix_units(result)
    return None if number(units.get("total")) == 0 else finite(units.get("dual_ratio"))


def not_final_bundles(run: ForeignRun) -> Iterator[ResultFinding]:
    """A bundle count from a pass before scheduling counts assignments, about ten times the real schedule."""
    for result in run.results:
        profile = block(result.metadata, "profile")
        count = finite(profile.get("vliw_bundle_count"))
        if not count:
            continue
        dump = _has_bundles(result)
        first, second = (finite(_matrix_units(result).get(name)) for name in ("mxu0", "mxu1"))
        if dump is False:
            yield finding(result, "not_final_bundles", f"{_LLO} holds no `;;`: no bundles yet", file=_LLO)
        elif dump is None and first is not None and first >= IDLE_UNIT_OPS and second == 0:
            detail = f"{count:.0f} bundles, yet {first:.0f} operations on one matrix unit and none on the other"
            yield finding(result, "not_final_bundles", f"{detail}: a pass before units are assigned")


def _has_bundles(result: ForeignResult) -> bool | None:
    """Whether the dump beside a result has VLIW bundles; None when there is no dump to look at."""
    try:
        if result.folder is None or not (result.folder / _LLO).is_file():
            return None
        with (result.folder / _LLO).open("rb") as file:
            return _holds(file, b";;")
    except OSError:
        return None


def _holds(file: BinaryIO, mark: bytes) -> bool:
    """Search in blocks: dumps reach gigabytes, and nobody promises lines."""
    kept = b""
    while piece := file.read(_BLOCK_BYTES):
        if mark in kept + piece:
            return True
        kept = piece[1 - len(mark) :]
    return False


def dead_programs(run: ForeignRun) -> Iterator[ResultFinding]:
    """Without inputs a program can be folded away; with one scalar out, the work beside it is dropped."""
    for result in run.results:
        signature = _signature(result)
        if signature is None:
            continue
        inputs, outputs = signature
        if not inputs.strip():
            yield finding(result, "no_parameters", "the timed program has no parameters", file=_HLO)
        if _LONE_SCALAR.match(outputs.strip()):
            detail = "the timed program returns one scalar; every gradient beside it is dead code"
            yield finding(result, "scalar_output", detail, file=_HLO)


def _signature(result: ForeignResult) -> tuple[str, str] | None:
    try:
        if result.folder is None or not (result.folder / _HLO).is_file():
            return None
        with (result.folder / _HLO).open("rb") as file:
            text = file.read(_BLOCK_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    first, _, _ = text.partition("\n")
    match = _LAYOUT.search(first) or _ENTRY.search(text)
    return (match["inputs"], match["outputs"]) if match else None


CHECKS: tuple[Callable[[ForeignRun], Iterator[ResultFinding]], ...] = (
    not_finite,
    identical_counters,
    truncated,
    constant_metrics,
    not_final_bundles,
    dead_programs,
)
