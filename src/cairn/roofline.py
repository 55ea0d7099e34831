"""Targets and the two floors: how far there is to go, and what physics forbids.

The *target floor* is a goal: operations and bytes of a stated good form at the chip's rates. The *physics floor*
makes a verdict INVALID, so it contains only what cannot be argued with: the least bytes any algorithm moves at
the largest published bandwidth, and the least operations at the chip's highest rate for the precision.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from cairn.errors import UsageError
from cairn.settings import Source, did_you_mean

_CHIPS = Path(__file__).with_name("chips.yaml")
_FLOATS_ON_THE_MATRIX_UNIT = {"bfloat16", "float16", "float32"}
MEASURED_DEVICES = ("tpu", "gpu", "cpu")


class Chip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Published limits of one device. Units: TFLOP/s, GB/s (1e9), MiB."""

    device: str
    tflops: dict[str, float]
    hbm_gb_s: float
    hbm_max_gb_s: float
    on_chip_mib: float
    source: str
    topology: str | None = None

    def peak_tflops(self, dtype: str) -> float:
        """The highest rate at which the chip can do work declared in this type.

        Wider floats count at the bfloat16 rate: an algorithm may legally split them, so a lower limit could
        accuse an honest kernel. An unknown type counts at the chip's highest rate of all.
        """
        if dtype in _FLOATS_ON_THE_MATRIX_UNIT:
            return self.tflops["bfloat16"]
        return self.tflops.get(dtype, max(self.tflops.values()))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    chips: dict[str, Chip]


@dataclass(frozen=True)
class Target:
    """A chip and how cost is obtained on it. `chip` is None for `cpu:device`."""

    name: str
    chip: Chip | None
    measured: bool

    @property
    def chip_name(self) -> str:
        return self.name.removesuffix(":device")


@dataclass(frozen=True)
class Floor:
    """A lower bound on time in microseconds and what sets it: `bytes`, `flops` or `none`."""

    us: float
    bound_by: str


@cache
def chips() -> dict[str, Chip]:
    """All chips that cairn knows, by name."""
    return Source(_CHIPS).to(_File).chips


def parse_target(text: str) -> Target:
    """Read `tpu-v5p` (compiled and predicted here) or `tpu-v5p:device`, `gpu:device`, `cpu:device` (measured).

    Raises:
        UsageError: no such chip, or a chip that has no compiler here.
    """
    name, _, suffix = text.partition(":")
    if suffix == "device":
        if name in MEASURED_DEVICES:
            return Target(text, None, measured=True)
        if name in chips():
            return Target(text, chips()[name], measured=True)
    elif not suffix and name in chips():
        if chips()[name].topology is None:
            raise UsageError(f"`{name}` has no compiler here", hint=f"use `{name}:device` on such a machine")
        return Target(text, chips()[name], measured=False)
    raise UsageError(f"unknown target `{text}`", hint=did_you_mean(text, target_names()))


def target_names() -> list[str]:
    """Every target that `parse_target` accepts."""
    compiled = [name for name, chip in chips().items() if chip.topology]
    measured = [f"{name}:device" for name in (*chips(), *MEASURED_DEVICES)]
    return [*compiled, *measured]


def physics_floor(chip: Chip, flops: int, bytes_: int, dtype: str) -> Floor:
    """Time below which a result is impossible, in microseconds.

    Bytes that fit into on-chip memory may never cross the memory bus between calls, so they prove nothing.
    """
    by_flops = flops / (chip.peak_tflops(dtype) * 1e6)
    by_bytes = bytes_ / (chip.hbm_max_gb_s * 1e3) if bytes_ > chip.on_chip_mib * 2**20 else 0.0
    return _slowest(by_flops, by_bytes)


def target_floor(chip: Chip, flops: int, bytes_: int, dtype: str) -> Floor:
    """The time to aim at: the slower of operations and bytes at the chip's nominal rates, in microseconds."""
    return _slowest(flops / (chip.peak_tflops(dtype) * 1e6), bytes_ / (chip.hbm_gb_s * 1e3))


def _slowest(by_flops: float, by_bytes: float) -> Floor:
    if by_flops == by_bytes == 0:
        return Floor(0.0, "none")
    return Floor(by_bytes, "bytes") if by_bytes >= by_flops else Floor(by_flops, "flops")
