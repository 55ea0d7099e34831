"""Interval of each chip and kind of program, from the errors of held-out rows.

The interval is the ratio to the prediction that covered 95 of 100 of the chip's held-out rows of that kind, counted
for one more row like them (the largest, where there are fewer than twenty). Where there are too few for that, all
held-out rows of the chip count; where those are too few too, those of all chips. 95 and not 90, and never less than
15 %: a user's kernel is of none of these families, and was compiled by another version than the measured ones.
"""

import math
from collections.abc import Sequence

from calibration.scored import Scored

from cairn.lab.regime import REGIMES

COVERED = 0.95
FEWEST = 9  # rows of which the largest error covers nine tenths of what comes
LEAST = 0.15


def fractions(rows: Sequence[Scored], target: str) -> dict[str, tuple[float, str]]:
    """For each kind of program the interval as a fraction, and where it comes from."""
    kept = [row for row in rows if row.part == "heldout" and not row.noise and row.us is not None]
    chip = [row for row in kept if row.target == target]
    found = {}
    for kind in REGIMES:
        alike = [row for row in chip if row.bound == kind]
        for members, whose in ((alike, "of this kind"), (chip, "of this chip"), (kept, "of all chips")):
            if len(members) >= FEWEST:
                found[kind] = (_covering(members), f"{len(members)} held-out rows {whose}")
                break
    return found


def left_out(rows: Sequence[Scored]) -> list[tuple[Scored, bool]]:
    """Every held-out row, and whether it lies in the interval that the rows of all other families give it.

    A family is left out on all chips. Rows without an interval, because too few are left, are not listed.
    """
    found = []
    for family in sorted({row.family for row in rows}):
        others = [row for row in rows if row.family != family]
        for row in rows:
            if row.family != family or row.part != "heldout" or row.noise or row.us is None:
                continue
            given = fractions(others, row.target).get(row.bound or "issue")
            if given is not None:
                found.append((row, _ratio(row) <= 1.0 + given[0] + row.by_bytes))
    return found


def _covering(members: Sequence[Scored]) -> float:
    """Ratios are the larger over the smaller, less what the prediction's interval has for parts costed by bytes."""
    ratios = sorted(_ratio(row) - row.by_bytes for row in members)
    place = min(len(ratios), math.ceil(COVERED * (len(ratios) + 1)))
    return max(LEAST, math.ceil(100.0 * (ratios[place - 1] - 1.0)) / 100.0)


def _ratio(row: Scored) -> float:
    assert row.us is not None
    return max(row.us / row.measured_us, row.measured_us / row.us)
