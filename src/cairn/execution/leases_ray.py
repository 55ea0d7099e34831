"""An allocator on a Ray cluster: an actor that holds resources (chips, or whatever the cluster calls them).

The place is a Ray address (`ray://host:10001`, `auto`), or `local` for a cluster of the holder's own. Ray runs in a
process apart (`ray_holder.py`), which ends when the climb is gone, and the actor with it: so a killed climb gives its
device back by itself, and nothing of Ray's is in the climb's own process.
"""

import importlib.util
import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from cairn.errors import Missing
from cairn.execution.leases_command import CommandAllocator, HeldByCommand

_CONNECT_S, _STOP_S = 60.0, 20.0


class RayAllocator:
    """Holds `resources` with one actor.

    Args:
        name: the device's, for messages.
        resources: e.g. {"TPU": 4, "TPU-v5p-8-head": 1}.
        log: what the holder prints, Ray's own words included.
        ready_s: how long the cluster may take to start the actor.
        addresses: address by place; a place without one is an address itself.
    """

    def __init__(
        self,
        name: str,
        resources: Mapping[str, float],
        log: Path,
        ready_s: float = 600.0,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise Missing("the ray allocator needs ray", hint="pip install 'kernel-cairn[ray]'")
        self._name = name
        self._resources = dict(resources)
        self._log = log
        self._ready_s = ready_s
        self._addresses = dict(addresses or {})

    def allocate(self, place: str, cancelled: Callable[[], bool]) -> HeldByCommand:
        """Start the holder, and wait until its actor answers."""
        return self._holder(self._addresses.get(place, place)).allocate(place, cancelled)

    def end_leftover(self, leftover: dict[str, object]) -> None:
        """End a holder that has not noticed yet that its climb was killed."""
        self._holder("").end_leftover(leftover)

    def _holder(self, address: str) -> CommandAllocator:
        words = [sys.executable, "-m", "cairn.execution.ray_holder", address, json.dumps(self._resources)]
        command = shlex.join([*words, str(self._ready_s)]).replace("{", "{{").replace("}", "}}")
        return CommandAllocator(
            self._name,
            "",
            command,
            self._log,
            ready="^holding$",
            ready_s=self._ready_s + _CONNECT_S,
            stop_s=_STOP_S,
        )
