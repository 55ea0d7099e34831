"""Predictions beside measurements, one row a line, as committed data: what the tables and intervals are made from.

`scored.jsonl` is written by `predict_accuracy.py --truth FILE --cache DIR`; nothing in it is typed. Times are in
microseconds. Measurements are those published with tokamax (Apache-2.0), pallas-forge, the JAX documentation and a
tutorial on TPU v4; the rows' names are those of the measurements' file.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from cairn.lab.chip import Chip, load
from cairn.lab.predict import MODEL_VERSION

FILE = Path(__file__).with_name("scored.jsonl")
STATIC_FILE = Path(__file__).with_name("static_profile.json")  # row: microseconds, by `static_profile.py`
_STATED = ("interval_fraction", "same_kernel_margin")  # say how far to trust a prediction, and do not change it


@dataclass(frozen=True)
class Scored:
    """One row.

    Attributes:
        part: `fit` or `heldout`.
        problem: rows that share it differ in configuration alone.
        us: the prediction, None when `refused` says why.
        bound: what bounds the program (`cairn.lab.regime`), the family that its interval goes by.
        by_bytes: share of the prediction that was costed by bytes alone.
        noise: the published time is mostly the host's launch; shown, not scored.
        model: version of the model and digest of the chip's figures.
        static_us: what libtpu's own static profile says, where it was asked; kept in a file of its own.
    """

    id: str
    family: str
    target: str
    part: str
    problem: str
    measured_us: float
    us: float | None
    refused: str | None
    bound: str
    by_bytes: float
    roofline_us: float
    bundles_us: float
    noise: bool
    model: str
    static_us: float | None = None

    @property
    def group(self) -> str:
        return f"{self.family} / {self.target}"

    @property
    def error(self) -> float:
        """Relative to the measurement; NaN when refused."""
        return abs(self.us / self.measured_us - 1.0) if self.us is not None else float("nan")

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the interval that the shipped table gives."""
        margin = 1.0 + load(self.target).interval_fraction[self.bound or "issue"] + self.by_bytes
        return self.us is not None and self.us / margin <= self.measured_us <= self.us * margin


def model_of(target: str) -> str:
    """What a prediction depends on apart from the program."""
    figures = load(target)
    names = sorted(field.name for field in fields(Chip) if field.name not in _STATED)
    text = json.dumps([[name, getattr(figures, name)] for name in names])
    return f"{MODEL_VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def read() -> dict[str, Scored]:
    """The rows by name; none where there is no file yet."""
    if not FILE.exists():
        return {}
    rows = (Scored(**json.loads(line)) for line in FILE.read_text(encoding="utf-8").splitlines())
    static = static_us()
    return {row.id: replace(row, static_us=static.get(row.id)) for row in rows}


def static_us() -> dict[str, float]:
    """Microseconds by row from libtpu's static profile."""
    found: dict[str, float] = json.loads(STATIC_FILE.read_text(encoding="utf-8")) if STATIC_FILE.exists() else {}
    return found


def write(rows: dict[str, Scored]) -> None:
    """Replace the file, in the order of names."""
    temporary = FILE.with_suffix(".partial")
    kept = (asdict(row) for _, row in sorted(rows.items()))
    lines = (json.dumps({key: value for key, value in row.items() if key != "static_us"}) + "\n" for row in kept)
    temporary.write_text("".join(lines), encoding="utf-8")
    temporary.replace(FILE)
