"""Faster than physics is not fast: it is a broken measurement, a broken model or a cheat."""

from dataclasses import dataclass
from typing import Any

from cairn.judge.protocol import Cost
from cairn.judge.verdict import Ruling
from cairn.roofline import Chip, Floor, physics_floor, target_floor


@dataclass(frozen=True)
class Floors:
    """Both floors of one shape on one chip, in microseconds."""

    physics: Floor
    target: Floor

    def record(self) -> dict[str, Any]:
        return {
            "physics_us": self.physics.us,
            "physics_bound_by": self.physics.bound_by,
            "target_us": self.target.us,
            "target_bound_by": self.target.bound_by,
        }


def floors_of(chip: Chip, cost: Cost, dtype: str) -> Floors:
    """The floors of a shape whose work is declared in `dtype`."""
    return Floors(
        physics=physics_floor(chip, cost.flops, cost.bytes, dtype),
        target=target_floor(chip, cost.target_flops, cost.target_bytes, dtype),
    )


def rule(us: float, floors: Floors, where: str) -> Ruling | None:
    """None when the time is possible."""
    floor = floors.physics
    if us >= floor.us:
        return None
    return Ruling("below_floor", f"{us:.1f} us on {where}; {floor.bound_by} alone take {floor.us:.1f} us")
