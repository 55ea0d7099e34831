"""How many steps a trace covers, and how long one takes: the divisor of every figure, stated with its source.

A divisor is never inferred from how often operations occur: two recordings of one program, one covering twice the
steps of the other, then look like a gain of two.
"""

import itertools
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cairn.errors import BadInput
from cairn.profile.timeline import Event, Timeline
from cairn.profile.tracks import Track, annotated_steps

_FINGERPRINT = re.compile(r"\(\d+\)$")  # jit_step(1234567): the program's number differs from build to build


@dataclass(frozen=True)
class Steps:
    """`count` steps of `step_us` microseconds each in the mean; `median_us` is what most of them take.

    `source`: where the count comes from, in words; `others`: what else the trace says about it. `window`: from the
    first step's start to the last one's end, on the device's clock, where the device itself recorded the steps.
    """

    count: int
    step_us: float
    median_us: float
    source: str
    others: tuple[str, ...] = ()
    window: tuple[float, float] | None = None


def steps_of(timeline: Timeline, track: Track, stated: int | None = None, module: str | None = None) -> Steps:
    """The divisor: what the caller states, a module's executions, annotated steps, or the only main module.

    Raises:
        BadInput: nothing tells, or the module named did not run.
    """
    annotated = track.steps or annotated_steps(timeline)
    runs = Counter(program_name(each.name) for each in track.executions)
    others = tuple(
        [f"{len(annotated)} annotated steps"] * bool(annotated)
        + [f"{count} executions of {name}" for name, count in runs.most_common(3)]
    )
    if stated is not None:
        span = _span_us(track)
        return Steps(stated, span / stated, span / stated, "--steps", others)
    if module is not None:
        chosen = [each for each in track.executions if program_name(each.name) == program_name(module)]
        if not chosen:
            known = ", ".join(runs) or "none"
            raise BadInput(f"no execution of module {module}; there are: {known}", path=timeline.path)
        return _counted(chosen, f"executions of {program_name(module)}", others)
    if track.steps:
        return _counted(track.steps, "annotated steps", others)
    if annotated:  # on the host, whose clock runs ahead of the device
        return replace(_counted(annotated, "annotated steps", others), window=None)
    if track.executions:
        main = main_module(track.executions)
        chosen = [each for each in track.executions if program_name(each.name) == main]
        return _counted(chosen, f"executions of {main}", others)
    hint = "--steps N; or record with jax.profiler.StepTraceAnnotation round each step"
    raise BadInput("the trace does not say how many steps it covers", path=timeline.path, hint=hint)


def _counted(steps: Sequence[Event], source: str, others: tuple[str, ...]) -> Steps:
    """Steps that were recorded one by one, by start."""
    first, last = steps[0].start_us, max(each.end_us for each in steps)
    gaps = [after.start_us - before.start_us for before, after in itertools.pairwise(steps)]
    gaps.append(last - steps[-1].start_us)
    return Steps(len(steps), (last - first) / len(steps), statistics.median(gaps), source, others, (first, last))


def program_name(name: str) -> str:
    """A program's name without the fingerprint behind it."""
    return _FINGERPRINT.sub("", name)


def main_module(executions: Sequence[Event]) -> str:
    """The program that took most of the time."""
    total: Counter[str] = Counter()
    for each in executions:
        total[program_name(each.name)] += int(each.duration_us * 1e3)
    return total.most_common(1)[0][0]


def _span_us(track: Track) -> float:
    events = [event for queue in track.queues for event in queue]
    return max(event.end_us for event in events) - min(event.start_us for event in events)
