"""What a retrospective knows: facts with their evidence, and notes, as one document per source.

A fact is a number (or a setting in words) with the exact text, file and line it was read from. What has no line, such
as a row of a database, has a `place` in words instead. Nothing here is computed from other numbers.
"""

import msgspec

from cairn.text.units import unit_of

METRIC, PARAMETER, MENTION = "metric", "parameter", "mention"
APPROXIMATE, SIGNED, WINNER, BASELINE, NOTE = "~", "+", "*", "b", "n"


class Fact(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One value as one source states it.

    `raw` stands on 1-based `line` of `path`, character for character; `value` is in `unit` (None: a setting in words);
    `name` is what it is a value of, `run` the run, variant or row it belongs to, `group` the table or section.
    `flags` holds signs: approximate, signed, winner, baseline, note beside a main value.
    """

    path: str
    line: int | None
    raw: str
    value: float | None
    unit: str | None = None
    name: str = ""
    run: str = ""
    group: str = ""
    section: str = ""
    shape: str = ""
    step: float | None = None
    spread: float | None = None
    flags: str = ""
    place: str = ""

    def has(self, flag: str) -> bool:
        return flag in self.flags

    @property
    def base(self) -> tuple[float, str | None]:
        """The value in the base unit of its dimension, and that dimension; only for facts with a value."""
        unit = unit_of(self.unit) if self.unit else None
        value = self.value or 0.0
        return (value * unit.factor, unit.dimension) if unit else (value, None)

    @property
    def where(self) -> str:
        """`path:line`, or `path (place)` in a binary store."""
        return f"{self.path}:{self.line}" if self.line is not None else f"{self.path} ({self.place})"


class Note(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """A sentence or bullet worth citing. `part`: tried, worked, finding, failed, question, next, setup or ''."""

    path: str
    line: int
    part: str
    text: str
    heading: str = ""
    effect: str = ""


class Document(msgspec.Struct, omit_defaults=True):
    """One source: what kind it is, what it says of itself, and all that was read from it."""

    path: str
    kind: str
    reader: str = ""
    title: str = ""
    date: str | None = None
    status: str | None = None
    facts: list[Fact] = []
    notes: list[Note] = []
    warnings: list[str] = []
    direction: dict[str, str] = {}
    """Metric -> higher or lower, where the source itself says which is better."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where in a source the reader is: what a fact that it finds there belongs to."""

    path: str
    run: str = ""
    group: str = ""
    section: str = ""
