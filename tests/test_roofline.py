"""Targets and floors, against figures worked out by hand."""

import pytest

from cairn.errors import UsageError
from cairn.roofline import chips, parse_target, physics_floor, target_floor, target_names

# Gated DeltaNet forward, B=8 T=4096 H=16 K=V=128: bytes and least operations a token and head
TOKENS = 8 * 4096 * 16
BYTES, FLOPS = 1032 * TOKENS, 6 * 128 * 128 * TOKENS


@pytest.mark.parametrize(
    ("chip", "floor_us"),
    [("tpu-v4", 441), ("tpu-v5e", 661), ("tpu-v5p", 196), ("tpu-v6e", 330), ("gpu-h200", 113)],
)
def test_physics_floor_of_gated_deltanet(chip: str, floor_us: float) -> None:
    floor = physics_floor(chips()[chip], FLOPS, BYTES, "bfloat16")
    assert floor.us == pytest.approx(floor_us, rel=0.005)
    assert floor.bound_by == "bytes"


def test_bytes_that_fit_on_the_chip_prove_nothing() -> None:
    chip = chips()["tpu-v5p"]
    assert physics_floor(chip, 1000, 2**20, "bfloat16").bound_by == "flops"
    assert target_floor(chip, 1000, 2**20, "bfloat16").bound_by == "bytes"
    assert physics_floor(chip, 0, 0, "bfloat16").bound_by == "none"


def test_the_larger_bandwidth_accuses_nobody() -> None:
    for chip in chips().values():
        assert chip.hbm_max_gb_s >= chip.hbm_gb_s
        assert physics_floor(chip, FLOPS, BYTES, "float32").us <= target_floor(chip, FLOPS, BYTES, "float32").us


def test_targets() -> None:
    assert not parse_target("tpu-v5p").measured
    assert parse_target("tpu-v5p:device").measured
    assert parse_target("cpu:device").chip is None
    for name in target_names():
        assert parse_target(name).name == name


@pytest.mark.parametrize("name", ["tpu-v5q", "v5p", "gpu-h100", "tpu-v5p:cloud", ""])
def test_unknown_targets_teach(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(name)
    assert caught.value.hint
