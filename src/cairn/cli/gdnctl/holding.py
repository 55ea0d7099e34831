"""The project's allocator, as `gdnctl.toml` configures it: a command, or Ray."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cairn.cli.gdnctl.config import Config
from cairn.errors import UsageError

if TYPE_CHECKING:  # commands are declared without loading what they need to run
    from cairn.execution.leases import Allocator


@dataclass(frozen=True)
class Device:
    """A device that is wanted. `kind`: e.g. v5p-8. `log`: the allocator's output. `sync`: the folder to copy."""

    name: str
    kind: str
    log: Path
    ready_s: float = 900.0
    stop_s: float = 120.0
    sync: str = "."


def open_allocator(config: Config, device: Device) -> "Allocator":
    """What gets the device.

    Raises:
        UsageError: the configuration names another kind of allocator.
        Missing: ray is not installed.
    """
    settings = config.allocator
    if settings.kind == "ray":
        from cairn.execution.leases_ray import RayAllocator

        return RayAllocator(
            device.name, settings.resources, device.log, device.ready_s, addresses=settings.addresses
        )
    if settings.kind != "command":
        raise UsageError(f"no allocator of kind `{settings.kind}`", hint="`command` or `ray`")
    from cairn.execution.leases_command import CommandAllocator

    return CommandAllocator(
        device.name,
        device.kind,
        settings.allocate,
        device.log,
        ready=settings.ready,
        heartbeat_command=settings.heartbeat,
        release_command=settings.release,
        ready_s=device.ready_s,
        stop_s=device.stop_s,
        sync=device.sync,
    )
