"""Reasons to distrust a foreign time: copied, scattered, mixed, without samples, against a moving reference.

Thresholds come from results that were really published: one trace directory for all variants made seven of
fourteen times copies of another variant's, and an unchecked trace clustering let 0.0006 ms stand among 13.5 ms.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cairn.judge.foreign.findings import ResultFinding, finding, named
from cairn.judge.foreign.reader import ForeignResult, ForeignRun, block, finite, number
from cairn.judge.foreign.status import classify_result

LOW_OF_MEDIAN, HIGH_OF_MEDIAN = 0.5, 1.5
MAX_CV = 0.05
MAX_DRIFT = 0.02
_KERNEL, _REFERENCE = "benchmark", "reference_benchmark"
_MEASURED_DIGITS = 9  # a latency with fewer was rounded by hand, so two may coincide


@dataclass(frozen=True)
class TimingBlock:
    """The samples of one program, in milliseconds, with what the tool says about them."""

    name: str
    times: tuple[float, ...]
    stated_cv: float | None
    source: str | None
    median_ms: float | None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Code and detail of everything that is wrong with the samples themselves."""
        if not self.times:
            return
        median = statistics.median(self.times)
        low, high = LOW_OF_MEDIAN * median, HIGH_OF_MEDIAN * median
        outside = [time for time in self.times if not low <= time <= high or time <= 0]
        if outside:
            far = named([f"{time:.6g}" for time in outside])
            limits = f"{LOW_OF_MEDIAN} to {HIGH_OF_MEDIAN} times the median {median:.6g} ms"
            yield "iteration_outlier", f"{self.name}: {far} ms outside {limits}"
        cv = max(self._cv(), self.stated_cv or 0.0)
        if cv > MAX_CV:
            yield "high_cv", f"{self.name}: cv {cv:.3g} is above {MAX_CV:g}"

    def _cv(self) -> float:
        top = max(abs(time) for time in self.times) or 1.0  # scaled first: absurd times must not overflow
        scaled = [time / top for time in self.times]
        mean = statistics.fmean(scaled)
        return statistics.pstdev(scaled) / mean if mean > 0 else 0.0


def timing_blocks(result: ForeignResult) -> list[TimingBlock]:
    """The timing blocks of a result that say anything."""
    blocks = []
    for name in (_KERNEL, _REFERENCE):
        data = block(result.metadata, name) or block(result.data, name)
        if data:
            source, times = data.get("timing_source"), data.get("evaluation_times_ms")
            known = [finite(each) for each in times] if isinstance(times, list) else []
            samples = tuple(each for each in known if each is not None)
            word = source if isinstance(source, str) else None
            blocks.append(TimingBlock(name, samples, finite(data.get("cv")), word, finite(data.get("median_ms"))))
    return blocks


def scattered(run: ForeignRun) -> Iterator[ResultFinding]:
    """Samples that are not samples of one thing."""
    for result in run.results:
        for each in timing_blocks(result):
            for code, detail in each.faults():
                yield finding(result, code, detail)


def without_samples(run: ForeignRun) -> Iterator[ResultFinding]:
    """A claimed time with nothing behind it: it may be the host's, compilation included."""
    for result in run.results:
        if result.fault or classify_result(result.data) != "OK":
            continue
        if not any(each.name == _KERNEL and len(each.times) > 1 for each in timing_blocks(result)):
            yield finding(result, "no_timing_samples", "a latency without the samples it was taken from")


def mixed_sources(run: ForeignRun) -> Iterator[ResultFinding]:
    """Times of one round that were taken with different clocks; those that name none are left out."""
    rounds: defaultdict[str, list[tuple[ForeignResult, set[str]]]] = defaultdict(list)
    for result in run.results:
        sources = {each.source for each in timing_blocks(result) if each.source}
        if sources:
            rounds[result.iteration].append((result, sources))
    for members in rounds.values():
        seen = sorted(set().union(*(sources for _, sources in members)))
        if len(seen) > 1:
            for result, sources in members:
                detail = f"taken with {named(sorted(sources))}; this round mixes {named(seen)}"
                yield finding(result, "mixed_timing_source", detail)


def reference_ms(result: ForeignResult) -> float | None:
    """Latency of the reference beside a result, where it was measured."""
    if result.metadata.get("reference_perf_ok") is False:
        return None
    median = next((each.median_ms for each in timing_blocks(result) if each.name == _REFERENCE), None)
    value = finite(result.metadata.get("reference_latency_ms")) if median is None else median
    return value if value and value > 0 else None


def reference_faults(run: ForeignRun) -> Iterator[ResultFinding]:
    """A reference that moves, or that failed and was replaced by the kernel's own time."""
    known = [(result, ms) for result in run.results if (ms := reference_ms(result)) is not None]
    median = statistics.median([ms for _, ms in known]) if known else 0.0
    for result, ms in known:
        drift = ms / median - 1
        if abs(drift) > MAX_DRIFT:
            detail = f"reference {ms:.6g} ms is {drift:+.1%} from the run's median {median:.6g} ms"
            yield finding(result, "reference_drift", detail)
    for result in run.results:
        if result.metadata.get("reference_perf_ok") is False:
            yield finding(result, "reference_failed", "the reference was not timed; the speed-up is a placeholder")


def stale_groups(run: ForeignRun) -> list[list[ForeignResult]]:
    """Results whose kernel times are bit for bit the same although their sources are not known to be."""
    return grouped((key, result) for result in run.results if (key := _kernel_key(result)) is not None)


def identical_times(run: ForeignRun) -> Iterator[ResultFinding]:
    """Times that were copied from one result to another, or from a kernel to the reference."""
    yield from shared(stale_groups(run), "identical_timing", "kernel times are bit for bit those of")
    references = grouped((key, result) for result in run.results if (key := _times(result, _REFERENCE)))
    yield from shared(references, "identical_reference", "reference times are bit for bit those beside")
    kernels = {key: result for result in run.results if (key := _times(result, _KERNEL))}
    for result in run.results:
        twin = kernels.get(_times(result, _REFERENCE))
        if twin is not None:
            detail = f"reference times are bit for bit the kernel times of {twin.name}"
            yield finding(result, "identical_timing", detail, [twin])


def copies_in(groups: Iterable[Sequence[ForeignResult]]) -> int:
    """How many results are copies: of each group one may be the original, and nobody can tell which."""
    return sum(len({each.identity for each in group}) - 1 for group in groups)


def shared(groups: Iterable[Sequence[ForeignResult]], code: str, sentence: str) -> Iterator[ResultFinding]:
    """A finding for every member of every group, naming the others."""
    for group in groups:
        for result in group:
            others = [each for each in group if each is not result]
            yield finding(result, code, f"{sentence} {named([each.name for each in others])}", others)


def grouped(keyed: Iterable[tuple[Hashable, ForeignResult]]) -> list[list[ForeignResult]]:
    """Results with equal keys, where more than one source claims the same."""
    groups: defaultdict[Hashable, list[ForeignResult]] = defaultdict(list)
    for key, result in keyed:
        groups[key].append(result)
    return [group for group in groups.values() if len({each.identity for each in group}) > 1]


def _times(result: ForeignResult, name: str) -> tuple[float, ...]:
    """Samples that can be compared: one alone proves nothing."""
    found = next((each.times for each in timing_blocks(result) if each.name == name), ())
    return found if len(found) > 1 else ()


def _kernel_key(result: ForeignResult) -> Hashable | None:
    times = _times(result, _KERNEL)
    return times or _latency_pair(result.data, result.metadata)


def _latency_pair(data: Mapping[str, object], metadata: Mapping[str, object]) -> Hashable | None:
    """Old results keep no samples, but two unrounded latencies at once do not repeat by chance."""
    pair = (number(data.get("latency_ms")), number(metadata.get("reference_latency_ms")))
    return pair if all(each is not None and _unrounded(each) for each in pair) else None


def _unrounded(value: float) -> bool:
    mantissa = repr(value).partition("e")[0]
    return len(mantissa.replace(".", "").strip("-0")) >= _MEASURED_DIGITS


CHECKS: tuple[Callable[[ForeignRun], Iterator[ResultFinding]], ...] = (
    identical_times,
    scattered,
    without_samples,
    mixed_sources,
    reference_faults,
)
