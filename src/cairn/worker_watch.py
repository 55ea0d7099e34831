"""What bounds a worker while the judge waits for it: time, memory, processes, disk; and pipes that never block.

The whole tree below the worker is counted, wherever a namespace has put it: seen from here, its members are
descendants like any other. Between two looks a worker may exceed a bound by what it manages in that time.
"""

import contextlib
import fcntl
import os
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

_POLL_S = 0.2
_PIPE_BYTES = 2**20
_FILES_COUNTED = 20_000
_LONGEST_PATH = 2048  # folders nested deeper than that are nobody's scratch


@dataclass(frozen=True)
class WorkerLimits:
    """Bounds of one worker: resident memory and processes of its whole tree, files in its folder, one reply."""

    memory_bytes: int = 12 * 2**30
    file_bytes: int = 2 * 2**30
    scratch_bytes: int = 2**29
    processes: int = 64
    cpu_s: int = 3600
    reply_bytes: int = 4 * 2**30


class WorkerFailure(Exception):
    """A worker gave no valid answer.

    `reason`: `timeout`, `exited` (ended by itself, e.g. os._exit), `killed` (by a signal, or by the judge for too
    many processes or files), `memory`, `garbled` (bytes that are no frame) or `raised` (the request failed with an
    exception; see `error`).
    """

    def __init__(self, reason: str, detail: str, error: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.error = dict(error or {})


class Child(Protocol):
    """A process that was started, in one way or another."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code, None as long as it runs."""


class Watch:
    """Decides, while the judge waits, whether waiting is still allowed."""

    def __init__(self, deadline: float, child: Child, folder: Path, limits: WorkerLimits) -> None:
        self._deadline = deadline
        self._child = child
        self._folder = folder
        self._limits = limits

    def check(self) -> None:
        """Raises WorkerFailure when a bound is exceeded."""
        if time.monotonic() > self._deadline:
            raise WorkerFailure("timeout", "no answer within the limit")
        self._check_tree()
        most = self._limits.scratch_bytes
        if (used := disk_used(self._folder, most)) > most:
            raise WorkerFailure("killed", f"{used / 2**20:.0f} MiB in its folder, {most / 2**20:.0f} allowed")

    def _check_tree(self) -> None:
        tree = tree_of(self._child.pid)
        if len(tree) > self._limits.processes:
            raise WorkerFailure("killed", f"{len(tree)} processes, {self._limits.processes} allowed")
        used, most = sum(_resident(pid) for pid in tree), self._limits.memory_bytes
        if used > most:
            raise WorkerFailure("memory", f"{used / 2**30:.1f} GiB in use, {most / 2**30:.1f} allowed")


def tree_of(root: int) -> list[int]:
    """A process and its descendants, none once it is gone.

    The kernel's own lists of children spare a look at every process of the machine, which is what is
    left where it keeps none.
    """
    if not Path("/proc/self/task", str(os.getpid()), "children").exists():
        with contextlib.suppress(psutil.NoSuchProcess):
            return [root, *(child.pid for child in psutil.Process(root).children(recursive=True))]
        return []
    found = [root] if Path(f"/proc/{root}").exists() else []
    for pid in found:  # which grows meanwhile
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    found += map(int, (task / "children").read_text().split())
    return found


def _resident(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def disk_used(folder: Path, enough: int) -> int:
    """Bytes on disk below a folder; counting stops at `enough`, and too many or too deep to count is too much.

    Links are not followed, and what vanishes or cannot be read meanwhile counts nothing.
    """
    used = count = 0
    folders = [str(folder)]
    while folders:
        inside = folders.pop()
        if len(inside) > _LONGEST_PATH:
            return max(used, enough + 1)
        with contextlib.suppress(OSError), os.scandir(inside) as entries:
            for entry in entries:
                count += 1
                with contextlib.suppress(OSError):
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        if used > enough or count > _FILES_COUNTED:
            return max(used, enough + 1)
    return used


def plain(text: str, limit: int) -> str:
    """A worker's own words, bounded and without what steers a terminal or cannot be encoded."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text[:limit])


def wide_pipe() -> tuple[int, int]:
    """A pipe, its reading end first, that holds as much at a time as a user may ask for: arrays take fewer turns."""
    ends = os.pipe()
    with contextlib.suppress(AttributeError, OSError):  # another system; too many of them already
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return ends


class Pipe:
    """One end of a pipe that never blocks longer than its watch allows: what `wire` reads from and writes to."""

    def __init__(self, descriptor: int, child: Child) -> None:
        self._descriptor = descriptor
        self._child = child
        self._open = True
        self.watch: Watch | None = None
        os.set_blocking(descriptor, False)

    def _wait(self, event: int) -> bool:
        """Wait until the pipe is ready; False when the child is gone and left nothing behind."""
        poll = select.poll()
        poll.register(self._descriptor, event)
        while not poll.poll(_POLL_S * 1000):
            if self.watch is not None:
                self.watch.check()
            if self._child.poll() is not None and not poll.poll(0):
                return False
        return True

    def read(self, count: int) -> bytes:
        chunks: list[bytes] = []
        missing = count
        while missing:
            if not self._wait(select.POLLIN):
                break
            chunk = os.read(self._descriptor, min(missing, 1 << 20))
            if not chunk:
                break
            chunks.append(chunk)
            missing -= len(chunk)
            if self.watch is not None and len(chunks) % 64 == 0:
                self.watch.check()  # a worker that drips bytes must not outlive its limit
        return b"".join(chunks)

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            if not self._wait(select.POLLOUT):
                raise BrokenPipeError
            view = view[os.write(self._descriptor, view[: 1 << 20]) :]
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)
