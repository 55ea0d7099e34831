"""Runs workers on a Ray cluster of one node, loses one and gets another; prints what it found as one JSON object.

A process of its own, because Ray leaves its servers and their pipes to whoever started it.
"""

import json
import sys
from pathlib import Path

import psutil
import ray

from cairn.errors import Unreachable
from cairn.execution.places import Wanted, open_places
from cairn.worker_process import WorkerProcess, probe_isolation

HEAD = "TPU-v5p-8-head"


def far_ends() -> list[psutil.Process]:
    """Servers that actors of this cluster run."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any(word.endswith("far.py") for word in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            pass
    return found


def lost(python: Path) -> str:
    with WorkerProcess(python, "timer") as worker:
        worker.ask({"op": "device"}, timeout_s=60)
        for process in far_ends():
            process.kill()
        try:
            worker.ask({"op": "device"}, timeout_s=60)
        except Unreachable as error:
            return str(error)
    return "not noticed"


def main() -> None:
    quiet = {"include_dashboard": False, "log_to_driver": False, "_node_ip_address": "127.0.0.1"}
    ray.init(num_cpus=2, resources={HEAD: 2}, **quiet)
    home = Path(sys.executable)
    wanted = Wanted("ray", far_python=sys.executable, slots=2, resources={HEAD: 1})
    found: dict[str, object] = {}
    with open_places(wanted, home) as places:
        found["places"] = len({place.name for place in places})
        found["taken"] = ray.available_resources().get(HEAD, 0.0) == 0.0
        found["isolation"] = [probe_isolation(place.python).level for place in places]
        found["lost"] = lost(places[0].python)
    with open_places(wanted, home) as places, WorkerProcess(places[1].python, "timer") as worker:
        found["again"] = worker.ask({"op": "device"}, timeout_s=60)[0]["platform"]
    found["left"] = len(far_ends())
    ray.shutdown()
    print(json.dumps(found))


main()
