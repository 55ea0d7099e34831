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
from workspace import Workspace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]
PLAY = Path(__file__).parent / "ray_play.py"


def test_a_round_on_a_cluster_that_loses_a_worker(workspace: Workspace, tmp_path: Path) -> None:
    """No attempt is lost, and none is judged twice."""
    quiet = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": ""}
    environment, mark = marked_environment({**os.environ, **quiet})
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        command = [sys.executable, str(PLAY), str(workspace.root)]
        with subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True) as child:
            try:
                code = child.wait(timeout=360)
            finally:
                end_tree(child.pid, mark)
    assert code == 0, (tmp_path / "err").read_text()[-3000:]
    found = json.loads((tmp_path / "out").read_text().splitlines()[-1])
    here = probe_isolation(Path(sys.executable)).level
    assert "was lost" in found.pop("lost_worker")
    assert found.pop("lost"), "nobody noticed that a worker was killed"
    assert found.pop("places")
    assert found == {"isolation": here, "judged": 4, "decided": 4, "twice": 0, "left": False}
