"""A chip as the model sees it: one YAML file per target, every number with its source."""

import functools
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

import yaml

from cairn.errors import BadInput, UsageError

TARGETS = ("tpu-v4", "tpu-v5e", "tpu-v5p", "tpu-v6e", "tpu7x")


@dataclass(frozen=True)
class Chip:
    """Figures of one core. Cycles are core cycles at `clock_ghz * clock_scale`; bandwidths are effective ones.

    `clock_scale_busy` is the scale of the core's own work while the matrix units are always busy; between that and
    none it is linear in their share. `interval_fraction` is by what bounds a program (`cairn.lab.regime`).
    `hbm_shared_gb_per_s` is what each core gets while the other core of the device streams too.
    """

    target: str
    clock_ghz: float
    clock_scale: float
    clock_scale_busy: float
    cores_per_device: int
    branch_delay_bundles: int
    folds_empty_slots: bool
    dma_granule_bytes: int
    dma_in_latency_ns: float
    dma_out_latency_ns: float
    hbm_gb_per_s: float
    hbm_shared_gb_per_s: float
    mxu_count: int
    mxu_lane_groups: int
    matmul_interval_cycles: dict[str, int]
    matmul_latency_cycles: int
    matpush_interval_cycles: dict[str, int]
    xlu_count: int
    xlu_interval_cycles: int
    xlu_latency_cycles: int
    eup_interval_cycles: int
    eup_latency_cycles: int
    rng_interval_cycles: int
    interval_fraction: dict[str, float]
    same_kernel_margin: float

    @property
    def cycles_per_us(self) -> float:
        return self.clock_ghz * self.clock_scale * 1000.0

    def slowing(self, mxu_share: float) -> float:
        """Factor on core cycles at this share of matrix work, relative to `cycles_per_us`."""
        busy = min(1.0, max(0.0, mxu_share))
        return self.clock_scale / (self.clock_scale + busy * (self.clock_scale_busy - self.clock_scale))

    def cycles_of_ns(self, ns: float) -> float:
        return ns * self.clock_ghz * self.clock_scale

    def bytes_per_cycle(self, *, shared: bool) -> float:
        gb_per_s = self.hbm_shared_gb_per_s if shared else self.hbm_gb_per_s
        return gb_per_s / (self.clock_ghz * self.clock_scale)


@functools.cache
def load(target: str) -> Chip:
    """Read a target's table.

    Raises:
        UsageError: there is no table of that name.
        BadInput: the table lacks a key.
    """
    if target not in TARGETS:
        raise UsageError(f"unknown target {target!r}", hint=f"one of {', '.join(TARGETS)}")
    path = resources.files("cairn.lab") / "tables" / f"{target}.yaml"
    table: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    values: dict[str, Any] = {"target": table["target"]}
    for name in (field.name for field in fields(Chip)):
        if name not in table:
            raise BadInput("missing", path=str(path), key=name)
        if name != "target":
            values[name] = table[name]["value"]
    return Chip(**values)
