"""Which jax and libtpu an interpreter has, without starting the compiler: the cache's keys need it at once."""

import functools
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cairn.errors import Missing

PACKAGES = ("jax", "jaxlib", "libtpu")
_NEEDED = ("jax", "libtpu", "flatbuffers")  # the last one by jax.export, which does not ask for it
_LOOKED_AT = (*PACKAGES, "flatbuffers")
# libtpu's dumps are no contract; these were read and priced, the first one is what the model was fitted with
TRIED = ("0.0.51", "0.0.42.1", "0.0.40")
_ASK_S = 30.0
# what a worker of that interpreter would find: no user site, no PYTHONPATH
_QUESTION = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
versions = {}
for name in %r:
    try:
        versions[name] = version(name)
    except PackageNotFoundError:
        versions[name] = None
print(json.dumps({"versions": versions, "path": sys.path, "python": sys.version}))
"""


def versions_of(python: Path) -> dict[str, str | None]:
    """Versions of what decides a schedule; None for a package that is not installed.

    Raises:
        Missing: there is no such interpreter, or it does not answer.
    """
    versions = _asked(python)["versions"]
    return {name: versions[name] for name in PACKAGES}


def lacking(python: Path) -> list[str]:
    """Packages without which nothing can be compiled, and that the interpreter has not.

    Raises:
        Missing: there is no such interpreter, or it does not answer.
    """
    versions = _asked(python)["versions"]
    return [name for name in _NEEDED if versions[name] is None]


def fingerprint(python: Path) -> list[str]:
    """What tells one state of an interpreter's packages from another: their folders' names and times of change.

    Raises:
        Missing: there is no such interpreter, or it does not answer.
    """
    answer = _asked(python)
    folders = [Path(entry) for entry in answer["path"] if Path(entry).name in ("site-packages", "dist-packages")]
    times = [f"{folder} {folder.stat().st_mtime_ns}" for folder in folders if folder.is_dir()]
    return [str(answer["python"]), *times, json.dumps(answer["versions"])]


@functools.cache
def _asked(python: Path) -> dict[str, Any]:
    if python == Path(sys.executable):
        versions = {name: _version(name) for name in _LOOKED_AT}
        return {"versions": versions, "path": sys.path, "python": sys.version}
    command = [str(python), "-E", "-s", "-c", _QUESTION % (_LOOKED_AT,)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=True, env={})
        return dict(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise missing_compiler(python, str(error)) from error


def missing_compiler(python: Path, why: str) -> Missing:
    """The error for an interpreter that cannot compile for a TPU."""
    return Missing(
        f"the TPU compiler does not start with {python}: {why}",
        hint="install them into that interpreter: pip install 'kernel-cairn[tpu]', or 'jax[tpu]' flatbuffers",
    )


def unknown_dump(versions: Mapping[str, str | None], what: str) -> Missing:
    """The error for a compiler whose account of its schedule cannot be had or read."""
    return Missing(
        f"libtpu {versions.get('libtpu')} {what}, so nothing can be said about its schedules",
        hint=f"libtpu {', '.join(TRIED)} were tried: pip install 'jax[tpu]==0.10.2' libtpu=={TRIED[0]}",
    )


def untried(versions: Mapping[str, str | None]) -> str | None:
    """A warning about a libtpu whose dumps nobody has looked at, None for one that was tried."""
    libtpu = versions.get("libtpu")
    if libtpu is None or libtpu in TRIED:
        return None
    return f"libtpu {libtpu} was not tried with this model (tried: {', '.join(TRIED)})"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
