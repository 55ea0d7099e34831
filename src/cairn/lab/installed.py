"""Which jax and libtpu an interpreter has, without starting the compiler: the cache's keys need it at once."""

import functools
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cairn.errors import Missing

PACKAGES = ("jax", "jaxlib", "libtpu")
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
    return dict(_asked(python)["versions"])


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
        versions = {name: _version(name) for name in PACKAGES}
        return {"versions": versions, "path": sys.path, "python": sys.version}
    command = [str(python), "-E", "-s", "-c", _QUESTION % (PACKAGES,)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=True, env={})
        return dict(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise missing_compiler(python, str(error)) from error


def missing_compiler(python: Path, why: str) -> Missing:
    """The error for an interpreter that cannot compile for a TPU."""
    return Missing(
        f"the TPU compiler does not start with {python}: {why}",
        hint="install jax and libtpu into that interpreter: pip install 'kernel-cairn[tpu]'",
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
