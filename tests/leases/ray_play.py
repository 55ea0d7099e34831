"""Takes and gives chips on a Ray cluster of one node, and prints what it found as one JSON object.

A process of its own, because Ray leaves its servers and their pipes to whoever started it.
"""

import json
import signal
import sys
import time
from pathlib import Path

import ray

from cairn.execution.leases import Lease, LeaseRules, Unavailable
from cairn.execution.leases_ray import RayAllocator


def free() -> float:
    return float(ray.available_resources().get("TPU", 0.0))


def until_free(count: float) -> bool:
    deadline = time.monotonic() + 60
    while free() != count and time.monotonic() < deadline:
        time.sleep(0.1)
    return free() == count


def lease_and_return(folder: Path) -> dict[str, object]:
    rules = LeaseRules(places=["local"], heartbeat_s=0.5, reacquire_s=0.0)
    refusal = ""
    with Lease("n", RayAllocator({"TPU": 4}, ready_s=60), rules, folder, lambda text: None) as lease:
        held = {"place": lease.place, "all_taken": until_free(0)}
        try:
            RayAllocator({"TPU": 1}, ready_s=1.0).allocate("local", lambda: False)
        except Unavailable as error:
            refusal = str(error)
        still = lease.place
    return {**held, "refusal": refusal, "still": still, "all_back": until_free(4)}


def lose_an_actor() -> dict[str, object]:
    held = RayAllocator({"TPU": 2}, ready_s=60).allocate("local", lambda: False)
    alive = held.alive()
    held.release()
    gone = not held.alive()
    held.release()
    return {"alive": alive, "gone": gone, "all_back": until_free(4)}


def own_answer() -> bool:
    """Whether SIGTERM means what it meant before the allocator started Ray."""
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    answer = signal.getsignal(signal.SIGTERM)
    RayAllocator({}, ready_s=60).allocate("local", lambda: False).release()
    return signal.getsignal(signal.SIGTERM) is answer


if __name__ == "__main__":
    ray.init(
        num_cpus=1, resources={"TPU": 4}, include_dashboard=False, log_to_driver=False, configure_logging=False
    )
    found: dict[str, object] = {"lease": lease_and_return(Path(sys.argv[1])), "actor": lose_an_actor()}
    ray.shutdown()
    found["own_answer_to_sigterm"] = own_answer()
    ray.shutdown()
    sys.stdout.write(json.dumps(found) + "\n")
