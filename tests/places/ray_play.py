"""A round on a Ray cluster of one node while one of its workers is killed; prints what it found as one JSON object.

A process of its own, because Ray leaves its servers and their pipes to whoever started it. Judgements are a table of
costs, and each asks a worker of its place to wait: through the program, the wire, the far end and the actor of a real
climb. `benchmarks/fleet.py --kill` goes further: a raylet and the driver.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "climb")]

from fleets import fleet_bench  # noqa: E402

from cairn.climb.ledger import Event, Ledger  # noqa: E402
from cairn.climb.occupancy import fleet_use  # noqa: E402
from cairn.errors import Unreachable  # noqa: E402
from cairn.execution.hosts import Wanted  # noqa: E402
from cairn.execution.places import Place, open_places  # noqa: E402
from cairn.judge.receipt import ReceiptBook  # noqa: E402
from cairn.worker_process import WorkerProcess, probe_isolation  # noqa: E402
from workspace import Workspace  # noqa: E402

HEAD = "TPU-v5p-8-head"
ADDRESS = "127.0.0.2"  # Ray takes 127.0.0.1 for the address of another interface
ROUND, WAIT_S = 4, 1.5


def wanted(address: str, slots: int = 2) -> Wanted:
    return Wanted("ray", [address], sys.executable, slots=slots, resources={HEAD: 1})


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


def kill_actor() -> None:
    """One worker process of Ray, with what it started."""
    parent = far_ends()[0].parent()
    assert parent is not None
    parent.kill()


def gone_soon() -> bool:
    deadline = time.monotonic() + 60
    while far_ends() and time.monotonic() < deadline:
        time.sleep(0.2)
    return not far_ends()


def settled(place: Place, tries: int = 20) -> None:
    """Wait until a place has its actor."""
    for left in reversed(range(tries)):
        try:
            return place.renew()
        except Unreachable:
            if not left:
                raise


def lost(place: Place) -> str:
    """A worker whose host's server is killed, and another one at the same place."""
    with WorkerProcess(place.python, "timer") as worker:
        worker.ask({"op": "device"}, timeout_s=60)
        for process in far_ends():
            process.kill()
        try:
            worker.ask({"op": "device"}, timeout_s=60)
        except Unreachable as error:
            place.renew()
            with WorkerProcess(place.python, "timer") as again:
                assert again.ask({"op": "device"}, timeout_s=60)[0]["platform"] == "cpu"
            return str(error)
    return "not noticed"


def summary(root: Path) -> dict[str, Any]:
    """What a climb's ledger and receipts say."""
    folder = root / ".cairn" / "runs" / "night"
    events = Ledger(folder / "ledger.jsonl").events
    receipts = [each["attempt"] for each in ReceiptBook(folder / "receipts.jsonl").all()]
    judged = [each for each in receipts if each.startswith("a")]
    return {
        "judged": len(judged),
        "twice": len(judged) - len(set(judged)),
        "decided": sum(event["event"] == "attempt.decided" for event in events),
        "lost": [event["attempt"] for event in events if event["event"] == "attempt.blocked"],
        "places": sorted(place for place, each in fleet_use(events).places.items() if each.judged),
    }


def main(root: Path) -> None:
    cluster = Cluster()
    cluster.add_node(num_cpus=2, resources={HEAD: 2}, node_ip_address=ADDRESS, include_dashboard=False)
    found: dict[str, Any] = {}
    harm = threading.Timer(WAIT_S / 2, kill_actor)

    def on_event(event: Event) -> None:
        """The worker is killed while both places are busy."""
        if event["event"] == "attempt.judging" and event["place"] == "ray:1" and harm.ident is None:
            harm.start()

    with open_places(wanted(cluster.address), Path(sys.executable)) as places:
        for place in places:
            settled(place)
        found["isolation"] = probe_isolation(places[1].python).level
        found["lost_worker"] = lost(places[0])
        fleet_bench(Workspace(root), places, ROUND, WAIT_S).run(ROUND, on_event)
    harm.join()
    found |= summary(root)
    found["left"] = not gone_soon()
    cluster.shutdown()
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
