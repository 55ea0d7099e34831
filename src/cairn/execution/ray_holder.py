"""A process that holds resources of a Ray cluster with one actor: Ray's threads and signal handlers stay in it.

    python -m cairn.execution.ray_holder ADDRESS RESOURCES READY_S

ADDRESS is a Ray address, or `local` for a cluster of its own; RESOURCES a JSON object. It prints `holding` when it has
them, and ends when they are lost, when it is interrupted, or when the process that started it is gone.
"""

import contextlib
import json
import os
import sys
import time
from typing import Any

import ray

_PING_S, _LOOK_S = 10.0, 2.0
_LAST_WORDS = 250


class Holder:
    """Lives in the cluster and holds what it was started with."""

    def ping(self) -> bool:
        """Answer."""
        return True


def main() -> int:
    """Hold until there is a reason not to."""
    address, resources, ready_s = sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3])
    starter = os.getppid()
    try:
        ray.init(address=None if address == "local" else address, log_to_driver=False)
        remote: Any = ray.remote(Holder)
        actor = remote.options(num_cpus=0, resources=resources).remote()
        ray.get(actor.ping.remote(), timeout=ready_s)
    except ray.exceptions.GetTimeoutError:
        return _refused(f"{resources} not free within {ready_s:.0f} s")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        return _refused(str(error)[-_LAST_WORDS:])
    print("holding", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            while os.getppid() == starter and ray.get(actor.ping.remote(), timeout=_PING_S):
                time.sleep(_LOOK_S)
        except (ConnectionError, ray.exceptions.RayError) as error:
            return _refused(f"lost: {str(error)[-_LAST_WORDS:]}")
    with contextlib.suppress(ConnectionError, ValueError, ray.exceptions.RayError):
        ray.kill(actor)
    return 0


def _refused(why: str) -> int:
    print(why, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())  # as the main module its class travels by value
