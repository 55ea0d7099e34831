"""The backend `ray` on a real cluster of one node, inside this machine."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cairn.process import end_tree, marked_environment
from cairn.worker_process import probe_isolation

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]
PLAY = Path(__file__).parent / "ray_play.py"


def test_workers_on_a_cluster(tmp_path: Path) -> None:
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": ""}
    environment, mark = marked_environment({**os.environ, **quiet})
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        command = [sys.executable, str(PLAY)]
        with subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True) as child:
            try:
                code = child.wait(timeout=360)
            finally:
                end_tree(child.pid, mark)
    assert code == 0, (tmp_path / "err").read_text()[-3000:]
    found = json.loads((tmp_path / "out").read_text().splitlines()[-1])
    assert "was lost" in found.pop("lost")
    here = probe_isolation(Path(sys.executable)).level
    assert found == {"places": 2, "taken": True, "isolation": [here] * 2, "again": "cpu", "left": 0}
