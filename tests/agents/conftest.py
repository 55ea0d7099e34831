"""The rig of every agent's tests; nothing that an agent started may outlive its test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.rig import Rig, make_rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = make_rig(tmp_path)
    yield rig
    left = rig.survivors()
    for process in left:
        process.kill()
    assert not left
