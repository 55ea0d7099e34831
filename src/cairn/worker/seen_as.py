"""Let code that is lowered for a chip that is not here see that chip: device kind, platform, number of cores.

Kernels and jax's own lowering ask which device they are for: tables of tuned sizes, `interpret=` on anything that is
no TPU, rules for integer division. There is no device to ask, so the answers are put where the questions go: jax's
abstract mesh, and the public functions `jax.devices`, `jax.local_devices` and `jax.default_backend`. jax itself does
not use the latter inside, so computing on the CPU goes on as before. Nothing can be placed on the device shown.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import AbstractDevice, AbstractMesh


@dataclass(frozen=True)
class SeenDevice:
    """What can be asked of a device without using it."""

    device_kind: str
    num_cores: int
    platform: str = "tpu"
    id: int = 0
    process_index: int = 0
    local_hardware_id: int = 0
    coords: tuple[int, int, int] = (0, 0, 0)
    core_on_chip: int = 0

    def memory_stats(self) -> None:
        """Unknown, as on any device that keeps no statistics."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no `{name}`: this chip is only shown; nothing is placed on it, no mesh made of it")

    def __str__(self) -> str:
        return f"TPU_{self.id}(no device: {self.device_kind} as the compiler sees it)"


def show_device(device_kind: str, num_cores: int) -> None:
    """Answer jax's public questions about devices with this one, for the rest of this process."""
    device = SeenDevice(device_kind, num_cores)
    for name in ("devices", "local_devices"):
        setattr(jax, name, _answering(getattr(jax, name), device))
    jax.default_backend = lambda: "tpu"


def _answering(real: Callable[..., Any], device: SeenDevice) -> Callable[..., Any]:
    def devices(*arguments: Any, **keywords: Any) -> Any:
        asked = keywords.get("backend", arguments[-1] if arguments else None)
        return [device] if asked in (None, "tpu", 0) else real(*arguments, **keywords)

    return devices


def answer_for_processor() -> None:
    """Give kernels that ask for a TPU's tables, as pipelines do, those of one with a single core: there is none here.

    jax asks a registry by the kind of the device only where that is no TPU, so nothing else is answered differently. A
    jax without such a registry goes on refusing.
    """
    with suppress(ImportError, AttributeError):
        from jax._src.pallas.mosaic import tpu_info
        from jax.experimental.pallas import tpu as pltpu

        tpu_info.registry.setdefault("cpu", lambda: pltpu.get_tpu_info_for_chip(pltpu.ChipVersion.TPU_V5E, 1))


@contextmanager
def seen_as(device_kind: str, num_cores: int) -> Iterator[None]:
    """Trace and lower for this kind of device: what Pallas' TPU lowering asks for its tables."""
    with jax.sharding.use_abstract_mesh(AbstractMesh((), (), abstract_device=_abstract(device_kind, num_cores))):
        yield


def _abstract(device_kind: str, num_cores: int) -> AbstractDevice:
    """jax's own abstract device; before jax 0.10 it has no platform."""
    known: dict[str, Any] = {"device_kind": device_kind, "num_cores": num_cores, "platform": "tpu"}
    names = inspect.signature(AbstractDevice).parameters
    return AbstractDevice(**{name: value for name, value in known.items() if name in names})
