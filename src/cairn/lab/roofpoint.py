"""Where a prediction stands between what physics allows and what it takes now. All times in microseconds."""

from dataclasses import dataclass

from cairn.lab import chip
from cairn.lab.chip import Chip
from cairn.lab.profile import Profile
from cairn.roofline import Floor, chips, physics_floor


@dataclass(frozen=True)
class Position:
    """Lower bounds beside the predicted time.

    Attributes:
        physics: cannot be beaten by any kernel with these arguments and results.
        target: what to aim at; None where nobody stated the work.
        traffic_us: the bytes that this kernel moves, at the bandwidth that the model gives the device.
        matrix_us: the time in which this kernel's matrix units are busy.
        moved_bytes, least_bytes: what it moves, and every argument and result once.
    """

    us: float
    physics: Floor
    target: Floor | None
    traffic_us: float
    matrix_us: float
    moved_bytes: int
    least_bytes: int


def device_bytes_per_us(figures: Chip) -> float:
    """The model's bandwidth of a whole device: all cores together, or one that has the memory to itself."""
    return max(figures.hbm_gb_per_s, figures.cores_per_device * figures.hbm_shared_gb_per_s) * 1000.0


def position(profile: Profile, stated: tuple[Floor, Floor] | None = None) -> Position | None:
    """The position of a predicted kernel; None where there is no number.

    Args:
        profile: what was predicted.
        stated: physics and target floor of a problem, which knows its operations; otherwise the physics floor is
            that of the bytes alone.
    """
    prediction, compiled = profile.answer.prediction, profile.answer.compiled
    if prediction is None or compiled is None or prediction.us is None:
        return None
    figures = chip.load(profile.answer.target)
    memory = compiled.memory
    least = memory.get("argument_size_in_bytes", 0) + memory.get("output_size_in_bytes", 0)
    least -= memory.get("alias_size_in_bytes", 0)
    moved = prediction.hbm_bytes or 0
    by_bytes = physics_floor(chips()[profile.answer.target], 0, least, "bfloat16")
    return Position(
        us=prediction.us,
        physics=stated[0] if stated else by_bytes,
        target=stated[1] if stated else None,
        traffic_us=moved / device_bytes_per_us(figures),
        matrix_us=(prediction.mxu_util or 0.0) * prediction.us,
        moved_bytes=moved,
        least_bytes=least,
    )
