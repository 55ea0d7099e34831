"""The Ray allocator on a real cluster of one node, inside this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn.execution.leases import Lease, LeaseRules, Unavailable
from cairn.execution.leases_ray import RayAllocator

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    ray.init(
        num_cpus=1, resources={"TPU": 4}, include_dashboard=False, log_to_driver=False, configure_logging=False
    )
    yield
    ray.shutdown()


def free() -> float:
    return float(ray.available_resources().get("TPU", 0.0))


def until_free(count: float) -> bool:
    import time

    deadline = time.monotonic() + 15
    while free() != count and time.monotonic() < deadline:
        time.sleep(0.1)
    return free() == count


def test_a_lease_holds_chips_and_gives_them_back(cluster: None, tmp_path: Path) -> None:
    rules = LeaseRules(places=["local"], heartbeat_s=0.5, reacquire_s=0.0)
    said: list[str] = []
    with Lease("n", RayAllocator({"TPU": 4}, ready_s=30), rules, tmp_path, said.append) as lease:
        assert lease.place == "local"
        assert until_free(0)
        with pytest.raises(Unavailable, match="not free"):
            RayAllocator({"TPU": 1}, ready_s=1.0).allocate("local", lambda: False)
        assert lease.place == "local"
    assert until_free(4)


def test_a_lost_actor_is_noticed(cluster: None) -> None:
    held = RayAllocator({"TPU": 2}, ready_s=30).allocate("local", lambda: False)
    assert held.alive()
    held.release()
    assert not held.alive()
    held.release()
    assert until_free(4)
