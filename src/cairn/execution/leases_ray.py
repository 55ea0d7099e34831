"""An allocator on a Ray cluster: an actor that holds resources (chips, or whatever the cluster calls them).

The place is a Ray address (`ray://host:10001`, `auto`), or `local` for a cluster inside this process. The actor dies
with the connection of its driver, so a killed climb gives its device back by itself.
"""

import contextlib
import importlib.util
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cairn.errors import Missing
from cairn.execution.leases import Unavailable

_PING_S = 10.0


class RayAllocator:
    """Holds `resources` with one actor.

    Args:
        resources: e.g. {"TPU": 4, "TPU-v5p-8-head": 1}.
        ready_s: how long the cluster may take to start the actor.
        addresses: address by place; a place without one is an address itself.
    """

    def __init__(
        self, resources: Mapping[str, float], ready_s: float = 600.0, addresses: Mapping[str, str] | None = None
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise Missing("the ray allocator needs ray", hint="pip install 'kernel-cairn[ray]'")
        self._resources = dict(resources)
        self._ready_s = ready_s
        self._addresses = dict(addresses or {})

    def allocate(self, place: str, cancelled: Callable[[], bool]) -> "HeldByRay":
        """Connect, start the actor, wait until it answers."""
        import ray

        address = None if place == "local" else self._addresses.get(place, place)
        try:
            if not ray.is_initialized():
                with _own_sigterm():
                    ray.init(address=address, log_to_driver=False)
            remote: Any = ray.remote(_Holder)
            holder = remote.options(num_cpus=0, resources=self._resources).remote()
            ray.get(holder.ping.remote(), timeout=self._ready_s)
        except ray.exceptions.GetTimeoutError as error:
            ray.kill(holder)
            raise Unavailable(f"{self._resources} not free within {self._ready_s:.0f} s") from error
        except (ConnectionError, ray.exceptions.RayError, ValueError) as error:
            raise Unavailable(str(error)) from error
        return HeldByRay(holder)

    def end_leftover(self, leftover: dict[str, object]) -> None:
        """The actor ended with its driver."""


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the caller's answer to SIGTERM; `ray.init` sets one of its own, and a climb could not end in order."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Ray leaves signals alone here
        return
    answer = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, answer)


class _Holder:
    """Lives in the cluster and holds what it was started with."""

    def ping(self) -> bool:
        return True


class HeldByRay:
    """A running actor."""

    def __init__(self, holder: Any) -> None:
        self._holder = holder

    def alive(self) -> bool:
        """Whether the actor answers."""
        import ray

        try:
            return bool(ray.get(self._holder.ping.remote(), timeout=_PING_S))
        except (ray.exceptions.RayError, ConnectionError):
            return False

    def release(self) -> None:
        """End the actor; its resources are free then."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError, ConnectionError, ValueError):
            ray.kill(self._holder)

    def leftover(self) -> dict[str, object]:
        """Nothing: the cluster ends an actor whose driver is gone."""
        return {}
