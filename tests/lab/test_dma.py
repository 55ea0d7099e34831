"""Copies against latency and bandwidth, worked out by hand."""

import dataclasses

import pytest

from cairn.lab import chip
from cairn.lab.dma import DmaEngine, LostWait

# 1 GHz, 10 bytes a cycle, granules of 10 bytes, 100 cycles in and 50 out.
FIGURES = dataclasses.replace(
    chip.load("tpu-v5e"),
    clock_ghz=1.0,
    clock_scale=1.0,
    hbm_gb_per_s=10.0,
    hbm_shared_gb_per_s=5.0,
    dma_granule_bytes=10,
    dma_in_latency_ns=100.0,
    dma_out_latency_ns=50.0,
)
FLAG, OTHER = 16, 32


def engine(*, shared: bool = False) -> DmaEngine:
    return DmaEngine(FIGURES, shared=shared)


def test_latency_then_bandwidth():
    one = engine()
    one.start(7.0, 30, "hbm_to_vmem", FLAG)
    assert one.wait(7.0, 30, FLAG) == 7 + 30 + 100
    assert one.hbm_bytes == 300


def test_latencies_overlap_and_the_channel_does_not():
    one = engine()
    one.start(0.0, 30, "hbm_to_vmem", FLAG)
    one.start(0.0, 40, "vmem_to_hbm", OTHER)
    assert one.wait(0.0, 30, FLAG) == 130
    assert one.wait(0.0, 40, OTHER) == 30 + 40 + 50


def test_two_cores_share_the_memory():
    one = engine(shared=True)
    one.start(0.0, 30, "hbm_to_vmem", FLAG)
    assert one.wait(0.0, 30, FLAG) == 60 + 100


def test_flags_count_and_are_consumed():
    one = engine()
    one.start(0.0, 10, "hbm_to_vmem", FLAG)
    one.start(0.0, 10, "hbm_to_vmem", FLAG)
    assert one.wait(0.0, 10, FLAG) == 110
    one.add(FLAG, 2**32 - 10)
    assert one.wait(0.0, 10, FLAG) == 120
    one.add(FLAG, 2**32 - 10)
    with pytest.raises(LostWait):
        one.wait(0.0, 1, FLAG)


def test_a_wait_that_is_over_costs_nothing():
    one = engine()
    one.start(0.0, 10, "hbm_to_vmem", FLAG)
    assert one.wait(5000.0, 10, FLAG) == 5000


def test_a_copy_for_both_cores():
    first, second = engine(), engine()
    first.start(0.0, 10, "hbm_to_vmem", (OTHER | 0x6000) << 16 | FLAG)
    second.receive(first.sent)
    assert first.wait(0.0, 10, FLAG) == second.wait(0.0, 10, OTHER) == 110
    assert (first.hbm_bytes, second.hbm_bytes) == (100, 0)


def test_on_chip_copies_leave_the_memory_alone():
    one = engine()
    one.start(0.0, 10, "vmem_to_vmem", FLAG)
    assert one.hbm_bytes == 0
    assert one.wait(0.0, 10, FLAG) < 110


def test_a_copy_within_the_memory_is_read_and_written_there():
    one = engine()
    one.start(0.0, 30, "hbm_to_hbm", FLAG)
    assert one.wait(0.0, 30, FLAG) == 2 * 30 + 100
    assert one.hbm_bytes == 600
