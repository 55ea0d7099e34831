"""A trace as it was recorded: planes (a device or a host), lines (a queue, a thread), events with a start and a length.

Both file formats of `jax.profiler` become this, and nothing is added up here. Times are microseconds on the
trace's own clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Event(NamedTuple):
    """Something that took time.

    `category`: what the compiler calls it (`custom-call`, `loop fusion`, ...), or the trace viewer's `cat`.
    `step`, `run`, `module`: the step annotation, the execution and the program it belongs to, where the trace says so.
    `is_operation`: the event names an operation of a compiled program.
    """

    name: str
    start_us: float
    duration_us: float
    category: str = ""
    step: str = ""
    run: str = ""
    module: str = ""
    is_operation: bool = False

    @property
    def end_us(self) -> float:
        return self.start_us + self.duration_us


@dataclass
class Line:
    """Events of one queue or thread, by start; an event may lie inside an earlier one."""

    name: str
    events: list[Event] = field(default_factory=list)


@dataclass
class Plane:
    """One device, or one host."""

    name: str
    lines: list[Line] = field(default_factory=list)


@dataclass
class Timeline:
    """A whole trace file.

    `digest`: sha256 of the file as it lies on disk. `notes`: what the reader has to say against it.
    """

    path: Path
    format: str
    digest: str
    planes: list[Plane] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[tuple[Plane, Line]]:
        for plane in self.planes:
            for line in plane.lines:
                yield plane, line

    @property
    def size(self) -> int:
        """How many events there are."""
        return sum(len(line.events) for _, line in self.lines())
