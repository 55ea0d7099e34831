"""The bandwidth that a kernel's own traffic is held against."""

import pytest

from cairn.lab import chip
from cairn.lab.chip import TARGETS
from cairn.lab.roofpoint import device_bytes_per_us


@pytest.mark.parametrize("target", TARGETS)
def test_a_device_is_no_slower_than_its_cores(target):
    figures = chip.load(target)
    each = figures.hbm_shared_gb_per_s if figures.cores_per_device > 1 else figures.hbm_gb_per_s
    assert device_bytes_per_us(figures) >= figures.cores_per_device * each * 1000.0
    assert device_bytes_per_us(figures) >= figures.hbm_gb_per_s * 1000.0
