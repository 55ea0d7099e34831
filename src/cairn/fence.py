"""Command lines that run a coding agent behind a fence (`worker/fence.py`), and whether this machine has one."""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cairn.worker.scratch import scratch

_LAUNCHER = Path(__file__).parent / "worker" / "fence.py"
_FILE_BYTES = 4 * 2**30  # no source file of an agent is larger; what fills a disk is
_PROCESSES = 8192  # threads count as well, and a compiler has hundreds on a large machine; a fork bomb has more
_PROBE_S = 20.0


@dataclass(frozen=True)
class Fence:
    """What an agent may not write (`readonly`) but for its own folders inside it (`writable`)."""

    readonly: Sequence[Path]
    writable: Sequence[Path]
    file_bytes: int = _FILE_BYTES
    processes: int = _PROCESSES

    def around(self, command: Sequence[str]) -> list[str]:
        """The same command, fenced; its exit code, signals and streams stay what they were."""
        return _launch(self, command, strict=False)


def _launch(fence: Fence, command: Sequence[str], *, strict: bool) -> list[str]:
    spec = {
        "readonly": [str(path.resolve()) for path in fence.readonly if path.is_dir()],
        "writable": [str(path.resolve()) for path in fence.writable],
        "file_bytes": fence.file_bytes,
        "processes": fence.processes,
        "strict": strict,
    }
    return [sys.executable, "-I", "-S", "-B", str(_LAUNCHER), json.dumps(spec), *command]


@cache
def fence_level() -> str:
    """`fenced`: the project is out of reach; `guarded`: only the process tree is held together; `none`: not Linux."""
    if sys.platform != "linux":
        return "none"
    with scratch("fence") as folder:
        inner = folder / "own"
        inner.mkdir()
        probe = f"touch {inner}/a && ! touch {folder}/b 2>/dev/null"
        command = _launch(Fence([folder], [inner]), ["/bin/sh", "-c", probe], strict=True)
        try:
            done = subprocess.run(
                command, cwd=inner, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_S, check=False
            )
        except subprocess.TimeoutExpired:
            return "guarded"
    return "fenced" if done.returncode == 0 else "guarded"


def own_code() -> list[Path]:
    """Where the judge's own code and its libraries lie: an agent that could write there could write its verdicts."""
    libraries = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")}
    return [Path(__file__).parent, *(Path(path) for path in sorted(libraries))]


def libraries_of(python: Path) -> list[Path]:
    """Where an interpreter lies and finds modules when it runs a worker; none when it cannot say.

    A folder that holds the user's home is left out: agents need their own settings.
    """
    ask = "import json, sys; print(json.dumps([entry for entry in sys.path if entry]))"
    command = [str(python), "-E", "-s", "-c", ask]
    try:
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_S, check=False
        )
        entries = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return []
    home = Path.home().resolve()
    programs = (python.absolute().parent, python.resolve().parent)
    folders = [Path(entry).resolve() for entry in (*programs, *entries)]
    return [folder for folder in folders if folder.is_dir() and not home.is_relative_to(folder)]


def fence_of(readonly: Sequence[Path], writable: Sequence[Path]) -> Callable[[Sequence[str]], list[str]]:
    """A function that fences commands, or leaves them alone where there is no fence to be had."""
    return Fence(readonly, writable).around if fence_level() != "none" else list
