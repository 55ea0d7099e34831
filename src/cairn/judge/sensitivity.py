"""Does an output follow a change of one far element of an input as the truth does, and only where the truth does?

The comparison with the truth cannot see a contribution that is smaller than its tolerance: one key among thousands, a
dropped tail. A probe changes one element and looks at differences. Three runs of the same program are not needed for
that: two, before and after, and the truth's two. Over all elements of an output

    gain   = sum(change * truth's change) / sum(truth's change ^ 2)      1 when it follows, 0 when it looks away
    spill  = rms of the change where the truth does not change, relative to rms(truth)

Rounding averages out of the gain: its standard error is that of one element over the length of the truth's change.
Where that is too large to tell 0 from 1 the probe is blind, and more elements are changed; a blind probe proves
nothing and says so. The baseline has to pass too: what it does not follow nobody must.
"""

import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cairn.judge.correctness import Array
from cairn.judge.verdict import Ruling
from cairn.problem import Tolerance

_FLOATS = ("bfloat16", "float16", "float32", "float64")
# a gain further from 1 than this is not rounding: half of a dropped contribution is twice as far
_GAIN_SLACK = 0.25
_SIGMAS = 5.0
_WIDTHS = (1, 16, 256, 4096)


@dataclass(frozen=True)
class Perturbation:
    """`count` elements of input `index`, from flat position `start`, taken from another draw of the same family."""

    index: int
    start: int
    count: int

    def apply(
        self, specs: Sequence[dict[str, Any]], blobs: Sequence[bytes], donor: Sequence[bytes]
    ) -> list[bytes]:
        """The changed inputs."""
        size = len(blobs[self.index]) // max(1, math.prod(specs[self.index]["shape"]))
        first, last = self.start * size, (self.start + self.count) * size
        mixed = blobs[self.index][:first] + donor[self.index][first:last] + blobs[self.index][last:]
        return [*blobs[: self.index], mixed, *blobs[self.index + 1 :]]


def perturbations(specs: Sequence[dict[str, Any]]) -> Iterator[Perturbation]:
    """Random places in a random floating input, one element first, then more of its neighbours.

    Integers are left alone: they are indices and lengths, which have to fit each other.
    """
    floats = [i for i, spec in enumerate(specs) if spec["dtype"] in _FLOATS and math.prod(spec["shape"]) > 0]
    if not floats:
        return
    index = secrets.choice(floats)
    size = math.prod(specs[index]["shape"])
    for width in _WIDTHS:
        if width <= size:
            yield Perturbation(index, secrets.randbelow(size - width + 1), width)


@dataclass(frozen=True)
class Response:
    """How one output followed a perturbation."""

    output: str
    gain: float
    baseline_gain: float
    spill: float
    allowed_spill: float

    @property
    def ok(self) -> bool:
        # "not within" instead of "beyond": a NaN must fail
        follows = abs(self.gain - 1) <= _GAIN_SLACK + 2 * abs(self.baseline_gain - 1)
        return follows and self.spill <= self.allowed_spill

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


def visible(before: Array, after: Array, relative_noise: float) -> bool:
    """Whether the truth changes enough for a gain of 0 to be told from 1, with outputs that are off by this much."""
    length = float(np.sqrt(np.sum((after - before) ** 2)))
    noise = math.sqrt(2) * relative_noise * _rms(before)
    return length > 0 and _SIGMAS * noise <= _GAIN_SLACK * length


def response(
    name: str, mine: tuple[Array, Array], baseline: tuple[Array, Array], truth: tuple[Array, Array], floor: float
) -> Response:
    """One output before and after, of the variant, the baseline and the truth; `floor` is the type's tolerance."""
    change, theirs, expected = (after - before for before, after in (mine, baseline, truth))
    still = expected == 0
    size = _rms(truth[0]) or 1.0
    return Response(
        output=name,
        gain=_gain(change, expected),
        baseline_gain=_gain(theirs, expected),
        spill=_rms(change[still]) / size,
        allowed_spill=max(4 * _rms(theirs[still]) / size, floor),
    )


def trusted(found: Response) -> bool:
    """Whether the baseline itself follows, so that the probe means something."""
    return abs(found.baseline_gain - 1) <= _GAIN_SLACK / 2


def noise_of(dtype: str, baseline_rms: float, tolerance: Tolerance) -> float:
    """How far an honest output may be off, relative to its size."""
    return max(baseline_rms, tolerance.floor_of(dtype))


def rule(responses: Sequence[Response], where: str) -> Ruling | None:
    """None when every output follows."""
    for found in responses:
        if not found.ok:
            text = f"`{found.output}` on {where}: {found.gain:.2f} of the expected change"
            return Ruling("insensitive", f"{text}, and {found.spill:.1e} where nothing changes")
    return None


def _gain(change: Array, expected: Array) -> float:
    return float(np.sum(change * expected) / max(float(np.sum(expected**2)), 1e-300))


def _rms(array: Array) -> float:
    return float(np.sqrt(np.mean(array**2))) if array.size else 0.0
