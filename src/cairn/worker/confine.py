"""The untrusted side locks itself in, before the first line of a variant is there to object.

Three layers, each used where the kernel offers it, none required: namespaces with a view of their own
(`confine_view`, `confine_tree`), Landlock and refused system calls (`confine_rules`). What was reached is told to
the judge in the answer to its first request, by this code, and cannot be changed by what is loaded later.

Not protected against: faults of the kernel itself, what can be learned from timing, and the reading of the
interpreter's own files, which must stay readable.
"""

import contextlib
import importlib.util
import os
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import confine_rules  # type: ignore[import-not-found]
import confine_tree  # type: ignore[import-not-found]
import confine_view  # type: ignore[import-not-found]
import linux  # type: ignore[import-not-found]

BOTH, LANDLOCK, NAMESPACES, PROCESS = "namespaces+landlock", "landlock", "namespaces", "process"
_ON = "on"
_PACKAGES = ("jax", "jaxlib", "numpy", "ml_dtypes", "scipy", "opt_einsum", "flatbuffers")
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload", "/etc/alternatives"),
    *("/etc/localtime", "/sys/devices/system/cpu"),
)
_PROC = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/sys/vm/overcommit_memory")


def confine(wish: Mapping[str, Any]) -> dict[str, Any]:
    """Lock this process in as far as the kernel allows; returns in the process that is to be the worker.

    `wish["level"]` is the highest level to use; `wish["limits"]` maps names of resource limits to values.
    """
    folder = str(Path.cwd())
    layers: dict[str, str] = {}
    readable = _readable()
    sys.path[:] = [path for path in sys.path if _below(path, readable)]
    namespaced = wish["level"] in (BOTH, NAMESPACES) and _try(layers, "namespaces", confine_view.enter_namespaces)
    _limit(wish["limits"], namespaced)
    scratch_bytes = int(wish["scratch_bytes"])

    def prepare() -> None:
        _try(layers, "view", lambda: confine_view.build_view(folder, readable, scratch_bytes))

    confine_tree.fork_supervised(prepare if namespaced else None)
    unseen = Path("/proc/self").readlink().name == str(os.getpid())  # a /proc that counts as this namespace does
    _try(layers, "privileges", linux.drop_capabilities)
    if wish["level"] in (BOTH, LANDLOCK):
        _try(layers, "landlock", lambda: _lock_files(readable, folder))
    _try(layers, "calls", confine_rules.refuse_calls)
    return _report(layers, unseen)


def _try(layers: dict[str, str], name: str, act: Callable[[], Any]) -> bool:
    """Apply a layer; a refusal by the kernel is a fact to report, not an error."""
    try:
        act()
    except OSError as error:
        layers[name] = str(error)
        return False
    layers[name] = _ON
    return True


def _report(layers: dict[str, str], unseen: bool) -> dict[str, Any]:
    """The level reached, and what holds because of it.

    Some containers forbid a fresh /proc; then others are not `unseen` in it, unless Landlock closes it.
    """
    namespaced, viewed, locked, calls, privileges = (
        layers.get(name) == _ON for name in ("namespaces", "view", "landlock", "calls", "privileges")
    )
    facts = {
        "processes": namespaced and (unseen or locked),
        "signals": namespaced or (locked and confine_rules.landlock_abi() >= 6),
        "network": namespaced or calls,
        "files": viewed or locked,
        "disk": viewed,
        "calls": calls,
        "privileges": privileges,
    }
    level = {(True, True): BOTH, (True, False): NAMESPACES, (False, True): LANDLOCK}.get(
        (namespaced, locked), PROCESS
    )
    return {"level": level, "holds": [name for name, holds in facts.items() if holds], "layers": layers}


def _readable() -> list[str]:
    """What an interpreter with jax needs to read. The folder of the project is not in it, nor is the home."""
    places = [*_SYSTEM, str(Path(__file__).parent), *_mapped_folders()]
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        places += [f"{prefix}/{part}" for part in ("bin", "lib", "lib64", "pyvenv.cfg")]
    places += [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    for package in _PACKAGES:  # where each is found, also when it is installed from a folder of its source
        spec = importlib.util.find_spec(package)
        places += list(spec.submodule_search_locations or ()) if spec else []
    return sorted({place for path in places for place in (path, os.path.realpath(path)) if Path(place).exists()})


def _mapped_folders() -> set[str]:
    """Folders of the shared libraries that this process has loaded: some installations keep them elsewhere."""
    names = [line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    return {str(Path(name).parent) for name in names if name.startswith("/") and ".so" in Path(name).name}


def _below(path: str, places: list[str]) -> bool:
    return any(path == place or path.startswith(place + "/") for place in places)


def _lock_files(readable: list[str], folder: str) -> None:
    own = f"/proc/{Path('/proc/self').readlink()}"
    confine_rules.restrict_files([*readable, *_PROC, own], [folder, *confine_view.DEVICES])


def _limit(limits: Mapping[str, int], namespaced: bool) -> None:
    """Resource limits for this process and its children, and first place when the machine runs out of memory."""
    for name, most in limits.items():
        what = getattr(resource, f"RLIMIT_{name}")
        if name == "NPROC" and not namespaced:
            continue  # outside a namespace it would count what else the user runs
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
