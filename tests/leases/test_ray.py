"""The Ray allocator on a real cluster of one node, inside this machine."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cairn.process import end_tree, marked_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]
PLAY = Path(__file__).parent / "ray_play.py"


def test_chips_are_held_missed_and_given_back(tmp_path: Path) -> None:
    # without a token in the (empty) home, and without a server of another run that RAY_ADDRESS would name
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": ""}
    environment, mark = marked_environment({**os.environ, **quiet})
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        command = [sys.executable, str(PLAY), str(tmp_path)]
        with subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True) as child:
            try:
                code = child.wait(timeout=360)
            finally:
                end_tree(child.pid, mark)
    assert code == 0, (tmp_path / "err").read_text()[-3000:]
    found = json.loads((tmp_path / "out").read_text())
    refusal = found["lease_and_return"].pop("refusal")
    assert "not free within 1 s" in refusal
    assert found["lease_and_return"] == {"place": "here", "all_taken": True, "still": "here", "all_back": True}
    assert found["lose_an_actor"] == {"alive": True, "gone": True, "all_back": True}
    assert found["killed"] == {"killed": True, "all_back": True}
