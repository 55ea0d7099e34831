"""What a tracker is told: a run, and points of it, each made from one line of a climb's ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Run:
    """A climb as a tracker's run.

    Args:
        name: the climb's name.
        identity: of this climb and no other of that name; the same in every launch, so that they are one run.
        settings: problem, variant, target and the like, as plain values.
        folder: where a tracker may keep files.
    """

    name: str
    identity: str
    settings: Mapping[str, str]
    folder: Path

    @property
    def label(self) -> str:
        """Name and identity, fit for a file and for an id."""
        return f"{self.name}-{self.identity}"


@dataclass(frozen=True)
class Point:
    """One line of the ledger.

    Args:
        n: its number in the ledger, from 1; a tracker's step.
        time_s: seconds since 1970.
        metrics: numbers; the unit is in the name.
        note: one line for people, empty when there is nothing to say.
        receipts: the judge's records that became known with this line.
    """

    n: int
    time_s: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    receipts: Sequence[Mapping[str, Any]] = ()


class Sink(Protocol):
    """An open run of a tracker."""

    @property
    def last(self) -> int:
        """The number of the last line that the run has already; 0 for none."""

    @property
    def place(self) -> str:
        """Where a person finds the run."""

    def add(self, points: Sequence[Point]) -> None:
        """Add points, in order, and hand them over before this returns.

        Raises:
            Unreachable: the service gave no answer; the points may be given again.
            Missing: it refuses, because a key is missing or wrong.
        """

    def close(self, summary: Mapping[str, str | float]) -> None:
        """End this sitting; the run can be opened again.

        Raises:
            Unreachable: the service gave no answer.
        """
