"""The device's own account of the time: does its trace fit what the timer said?

A clock that stops before the work is done, whatever the reason, shows in a trace: the device was busy for longer than
the call is said to have taken. So before a measured KEEP both programs run a few times under the profiler, at the
headline shape. The other direction proves nothing: a device waits for its host in every short kernel.

Recording has a price of its own. A device with hardware for it does not feel it; a CPU spends a few microseconds on
each operation, which are taken off. And the machine may be busier than it was before: what the incumbent's trace
shows in excess of its time is excess of the machine, not of the candidate. What remains must be within a factor of
five, or be beyond it in three recordings one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cairn.errors import CairnError
from cairn.judge.recording import record_program
from cairn.judge.timing_plan import InputSet
from cairn.profile.brief import brief
from cairn.profile.locate import read_trace
from cairn.profile.summary import record, summarize
from cairn.worker.scratch import scratch
from cairn.worker_process import WorkerFailure

_STEPS = 3
_TRIES = 3
_SLACK = 5.0
# measured: two microseconds an operation on the CPU, more on a busy one; hardware records for nothing
_PRICE_US = {"cpu": 5.0}
# what the profiler cuts off at; such a recording is not complete
_MOST_EVENTS = 900_000
_RECORDING_S = 20.0


@dataclass(frozen=True)
class DeviceTime:
    """Microseconds of one call in which the device ran something, and what recording may have added to them.

    `profile`: the recording's brief, for whoever makes the next attempt.
    """

    busy_us: float
    events: float
    price_us: float
    profile: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, float]:
        """The figures alone."""
        return {"busy_us": self.busy_us, "events": self.events, "price_us": self.price_us}

    def excess(self, said_us: float) -> float:
        """How many times what was said the device was busy, without the price of recording."""
        return max(self.busy_us - self.price_us, 0.0) / said_us


def check(
    python: Path, platform: str, programs: Sequence[bytes], inputs: InputSet, said_us: tuple[float, float]
) -> dict[str, Any]:
    """What the traces of (incumbent, candidate) show beside what the timer said they take, in microseconds a call.

    `agrees` is True, False, or None where there is no trace; `why` says what was found.
    """
    found: dict[str, Any] = {}
    for _ in range(_TRIES):
        times: list[DeviceTime] = []
        for program in programs:
            time = device_time(python, platform, program, inputs)
            if isinstance(time, str):
                return {"agrees": None, "why": time}
            times.append(time)
        found = verdict(times[0], times[1], said_us)
        if found["agrees"]:
            break
    return found


def verdict(incumbent: DeviceTime, candidate: DeviceTime, said_us: tuple[float, float]) -> dict[str, Any]:
    """One pair of recordings against what the timer said."""
    excess = [time.excess(said) for time, said in zip((incumbent, candidate), said_us, strict=True)]
    text = f"the device was busy for {candidate.busy_us:.1f} us of a call that is said to take {said_us[1]:.1f} us"
    return {
        "agrees": excess[1] <= _SLACK * max(1.0, excess[0]),
        "why": text,
        "incumbent": incumbent.record(),
        "candidate": candidate.record(),
        "profile": candidate.profile,
    }


def device_time(python: Path, platform: str, program: bytes, inputs: InputSet) -> DeviceTime | str:
    """Record one program; or why there is no trace that says anything."""
    try:
        _, files = record_program(python, platform, program, inputs, _STEPS, _RECORDING_S)
        with scratch("trace") as folder:
            for name, content in files.items():
                (folder / Path(name).name).write_bytes(content)
            summary = summarize(read_trace(folder))
    except WorkerFailure as failure:
        return f"no trace: {failure.detail[:200]}"
    except CairnError as error:
        return f"no trace that can be read: {error.message[:200]}"
    device = summary.main
    if device.events * device.steps.count >= _MOST_EVENTS:
        return "no complete trace: too many operations"
    price_us = _PRICE_US.get(platform, 0.0) * device.events
    return DeviceTime(device.busy_us / device.steps.count, device.events, price_us, brief(record(summary)))
