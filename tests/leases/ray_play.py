"""Takes and gives chips on a Ray cluster of one node, and prints what it found as one JSON object.

A process of its own, because Ray leaves its servers and their pipes to whoever started it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import ray

from cairn.execution.leases import Lease, LeaseRules, Unavailable
from cairn.execution.leases_ray import RayAllocator

KILLED = """
import os, signal, sys
from pathlib import Path
from cairn.execution.leases_ray import RayAllocator
RayAllocator("n", {"TPU": 4}, Path(sys.argv[2]), 60.0).allocate(sys.argv[1], lambda: False)
os.kill(os.getpid(), signal.SIGKILL)
"""


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def until_free(count: float) -> bool:
    return until(lambda: float(ray.available_resources().get("TPU", 0.0)) == count)


def lease_and_return(folder: Path, address: str) -> dict[str, object]:
    rules = LeaseRules(places=["here"], heartbeat_s=0.5, reacquire_s=0.0)
    using = RayAllocator("n", {"TPU": 4}, folder / "log", 60.0, addresses={"here": address})
    refusal = ""
    with Lease("n", using, rules, folder, lambda text: None) as lease:
        held = {"place": lease.place, "all_taken": until_free(0)}
        try:
            RayAllocator("m", {"TPU": 1}, folder / "other.log", 1.0).allocate(address, lambda: False)
        except Unavailable as error:
            refusal = str(error)
        still = lease.place
    return {**held, "refusal": refusal, "still": still, "all_back": until_free(4)}


def lose_an_actor(folder: Path, address: str) -> dict[str, object]:
    held = RayAllocator("n", {"TPU": 2}, folder / "log", 60.0).allocate(address, lambda: False)
    alive = held.alive()
    holder = next(each for each in psutil.Process().children() if "ray_holder" in " ".join(each.cmdline()))
    holder.kill()
    gone = until(lambda: not held.alive())
    held.release()
    return {"alive": alive, "gone": gone, "all_back": until_free(4)}


def killed(folder: Path, address: str) -> dict[str, object]:
    """The device of a climb that was killed; nobody is left who could give it back."""
    done = subprocess.run([sys.executable, "-c", KILLED, address, str(folder / "log")], check=False)
    return {"killed": done.returncode == -signal.SIGKILL, "all_back": until_free(4)}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    ray.init(
        num_cpus=1, resources={"TPU": 4}, include_dashboard=False, log_to_driver=False, configure_logging=False
    )
    where = ray.get_runtime_context().gcs_address
    os.environ.pop("RAY_ADDRESS", None)
    found = {act.__name__: act(place, where) for act in (lease_and_return, lose_an_actor, killed)}
    ray.shutdown()
    sys.stdout.write(json.dumps(found) + "\n")
