"""Does a program break down at a priced shape on inputs that it stood at small ones?

What a large shape costs is why it is cheated at: a softmax without its maximum is right on all that a problem draws,
and infinite beyond. Most priced shapes are too large for the judge's own families to be asked about there with the
truth at hand. So only what needs no truth is asked: on inputs of a width that the variant stood at small shapes, some
blocks of it are held against the baseline, and must not lose their numbers or be something else altogether.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cairn.judge import correctness
from cairn.judge.case import OWN_FAMILY, Case
from cairn.judge.correctness import Wire, decode
from cairn.judge.verdict import Ruling

# what is off by more than half of its size is no rounding, however wide the inputs are
_ALTOGETHER = 0.5
_WIDE = tuple(f"{OWN_FAMILY}{name}" for name in ("large", "scales"))


def stood(case: Case) -> list[str]:
    """The wide families of the judge's own on which the variant was right at every small shape that was asked about."""
    told = case.facts.get("own_families", {})
    answers = {
        family: {found for where, found in told.items() if where.startswith(f"{family} ")} for family in _WIDE
    }
    return [family for family, found in answers.items() if found == {"held"}]


def broken_down(
    names: Sequence[str], outputs: Sequence[Wire], baseline: Sequence[Wire], covered: Sequence[NDArray[np.bool_]]
) -> Ruling | None:
    """The ruling for the first output that has lost its numbers, or most of its size, where the baseline has not."""
    for name, mine, base, where in zip(names, outputs, baseline, covered, strict=True):
        if mine.shape != base.shape or mine.shape != where.shape:
            return Ruling("wrong_shape", f"`{name}` has shape {mine.shape} instead of {base.shape}")
        expected, answer = decode(base, where), decode(mine, where)
        if not np.isfinite(expected).all():
            continue
        if not np.isfinite(answer).all():
            return Ruling("non_finite", f"`{name}`")
        off, _ = correctness.distance(answer, expected)
        if not off <= _ALTOGETHER:
            return Ruling("wrong_output", f"`{name}` is off by {off:.2g} of the baseline's size")
    return None
